import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { start } from './fake.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const tick = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

describe('connecting', () => {
  test('offers the protocol and the token as subprotocols, and never puts the token into the URL', () => {
    const t = start({ token: 'secret' });
    expect(t.last().protocols).toEqual(['chowk.v1', 'bearer.secret']);
    expect(t.last().url).not.toContain('secret');
    expect(start().last().protocols).toEqual(['chowk.v1']);
  });

  test('opens one socket, however often connect and wake are called', async () => {
    const t = start();
    t.client.connect();
    t.client.wake();
    t.last().hello();
    t.client.wake();
    t.client.connect();
    await tick(1000);
    expect(t.sockets).toHaveLength(1);
    t.last().end();
    t.client.wake();
    t.client.wake();
    await tick(60_000);
    expect(t.open().length).toBeLessThanOrEqual(1);
  });

  test('backs off exponentially, with full jitter', async () => {
    for (const [random, share] of [
      [() => 0, 0],
      [() => 0.999999, 1],
    ] as const) {
      const t = start({ random });
      for (let n = 0; n < 10; n++) {
        const bound = share * Math.min(30_000, 500 * 2 ** n);
        t.last().end();
        await tick(Math.max(0, bound - 1));
        if (share) expect(t.sockets).toHaveLength(n + 1);
        await tick(1);
        expect(t.sockets).toHaveLength(n + 2);
      }
      t.client.close();
    }
  });

  test('resets the backoff only after a connection has been stable', async () => {
    const t = start({ random: () => 0.999999 });
    for (let n = 0; n < 4; n++) {
      t.last().hello();
      t.last().end();
      await tick(500 * 2 ** n);
      expect(t.sockets).toHaveLength(n + 2);
    }
    t.last().hello();
    await tick(5000);
    t.last().end();
    await tick(500);
    expect(t.sockets).toHaveLength(6);
  });

  test('abandons a socket that never sends its first frame', async () => {
    const t = start();
    const refused = vi.fn();
    t.client.on('refused', refused);
    await tick(10_000);
    expect(t.sockets[0]!.closedBy).toBe('client');
    expect(refused).toHaveBeenCalledWith({ attempt: 1 });
    await tick(500);
    expect(t.sockets).toHaveLength(2);
  });

  test.each([4001, 4003])('stops permanently at close code %i', async (code) => {
    const t = start();
    const unauthorized = vi.fn();
    t.client.on('unauthorized', unauthorized);
    t.last().hello();
    t.last().end(code);
    await tick(120_000);
    expect(unauthorized).toHaveBeenCalledWith({ code });
    expect(t.client.state).toBe('stopped');
    expect(t.sockets).toHaveLength(1);
  });

  test('leaves a draining server after the requested delay, and ignores the old socket from then on', async () => {
    const t = start();
    const old = t.last();
    old.hello({ c: 1 });
    old.say({ type: 'notice', code: 'draining', reconnect_after_ms: 700 });
    await tick(699);
    expect(old.closedBy).toBeUndefined();
    await tick(1);
    expect(old.closedBy).toBe('client');
    old.message('c', 2);
    expect(t.events).toEqual([]);
    await tick(500);
    expect(t.sockets).toHaveLength(2);
  });

  test('pings an idle socket, and abandons it if there is no answer', async () => {
    const t = start();
    t.last().hello();
    await tick(29_000);
    expect(t.last().of('ping')).toHaveLength(0);
    await tick(1000);
    expect(t.last().of('ping')).toHaveLength(1);
    t.last().say({ type: 'pong' });
    await tick(30_000);
    expect(t.last().of('ping')).toHaveLength(2);
    await tick(9_999);
    expect(t.client.state).toBe('connected');
    await tick(1);
    expect(t.client.state).toBe('waiting');
    expect(t.sockets[0]!.closedBy).toBe('client');
  });
});

describe('the browser', () => {
  const target = new EventTarget();
  beforeEach(() => {
    vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
    vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target));
  });
  afterEach(() => vi.unstubAllGlobals());

  test('goes online: the client reconnects at once', async () => {
    vi.stubGlobal('navigator', { onLine: false });
    const t = start();
    t.last().hello();
    t.last().end();
    await tick(4_999);
    expect(t.sockets).toHaveLength(1);
    target.dispatchEvent(new Event('online'));
    expect(t.sockets).toHaveLength(2);
    t.client.close();
    target.dispatchEvent(new Event('online'));
    expect(t.sockets).toHaveLength(2);
  });

  test('goes offline: the client checks that the socket is alive', async () => {
    const t = start();
    t.last().hello();
    target.dispatchEvent(new Event('offline'));
    expect(t.last().of('ping')).toHaveLength(1);
  });
});

describe('a channel', () => {
  test('delivers its events in order and once', () => {
    const t = start();
    t.last().hello({ c: 3 });
    for (const seq of [3, 4, 4, 2, 5]) t.last().message('c', seq);
    expect(t.seqs()).toEqual([4, 5]);
  });

  test('resumes after the last delivered event, without duplicates', async () => {
    const t = start();
    t.last().hello({ c: 3, d: 7, quiet: 1 });
    t.last().message('c', 4);
    t.last().end();
    await tick(500);
    const s = t.last();
    s.hello({ c: 6, d: 7, quiet: 1, fresh: 9 });
    expect(s.of('resume').map((r) => r.data)).toEqual([{ epoch: 'e1', cursors: { c: 4 } }]);
    s.message('c', 7); // overtakes the resume, and comes again with it
    s.ack(s.of('resume')[0], { status: 'resumed', channels: { c: { from: 4, to: 7 } } });
    for (const seq of [5, 6, 7, 8]) s.message('c', seq);
    s.message('fresh', 10);
    expect(t.seqs()).toEqual([4, 5, 6, 7, 8, 10]);
    await tick();
    expect(s.of('resume')).toHaveLength(1);
  });

  test('resumes in the handshake, without another round trip', async () => {
    const c = '0190a5e2-7b1c-7d3e-8f00-0123456789ab';
    const t = start();
    expect(t.last().url).toBe('ws://test/api/v1/ws');
    t.last().hello({ [c]: 300 });
    t.last().end();
    await tick(500);
    const s = t.last();
    expect(s.url).toBe('ws://test/api/v1/ws?resume=e1.AZCl4nscfT6PAAEjRWeJq6wC');
    s.hello({ [c]: 302 }, 'e1', { [c]: { from: 300, to: 302 } });
    for (const seq of [301, 302, 303]) s.message(c, seq);
    expect(t.seqs()).toEqual([301, 302, 303]);
    expect(s.of('resume')).toEqual([]);
  });

  test('with a new epoch is reported once, although the server reports it as well', async () => {
    const t = start();
    t.last().hello({ c: 3 });
    t.last().end();
    await tick(500);
    t.last().hello({ c: 9 }, 'e2');
    t.last().say({ type: 'error', code: 'resync', event: 'resume', channel_ids: ['c'], message: '' });
    expect(t.resyncs).toEqual(['c']);
    t.last().message('c', 10);
    expect(t.seqs()).toEqual([10]);
  });

  test('with a gap requests the missing events, once', async () => {
    const t = start();
    const s = t.last();
    s.hello({ c: 1 });
    s.message('c', 2);
    s.message('c', 4);
    s.message('c', 5);
    expect(s.of('resume').map((r) => r.data)).toEqual([{ epoch: 'e1', cursors: { c: 2 } }]);
    s.ack(s.of('resume')[0]);
    await tick();
    for (const seq of [3, 4, 5]) s.message('c', seq);
    expect(t.seqs()).toEqual([2, 3, 4, 5]);
  });

  test('resumes again when the server was too busy', async () => {
    const t = start();
    const s = t.last();
    s.hello({ c: 1 });
    s.message('c', 3);
    s.refuse(s.of('resume')[0], 'overloaded', 250);
    await tick(250);
    expect(s.of('resume')).toHaveLength(2);
  });

  test('with a new epoch must be reloaded', async () => {
    const t = start();
    t.last().hello({ c: 3, d: 1 });
    t.last().end();
    await tick(500);
    t.last().hello({ c: 9, d: 1 }, 'e2');
    expect(t.resyncs).toEqual(['c', 'd']);
    expect(t.last().of('resume')).toEqual([]);
    t.last().message('c', 10);
    expect(t.seqs()).toEqual([10]);
  });

  test('that is behind its cursor must be reloaded', async () => {
    const t = start();
    t.last().hello({ c: 3 });
    t.last().end();
    await tick(500);
    t.last().hello({ c: 2 });
    expect(t.resyncs).toEqual(['c']);
  });

  test('must be reloaded when the server sends resync', () => {
    const t = start();
    t.last().hello({ c: 3 });
    t.last().say({ type: 'error', code: 'resync', event: 'resume', channel_ids: ['c'], message: '' });
    expect(t.resyncs).toEqual(['c']);
    t.client.setCursor('c', 8);
    t.last().message('c', 8);
    t.last().message('c', 9);
    expect(t.seqs()).toEqual([9]);
  });

  test('that the user joins later has no gap before it', () => {
    const t = start();
    t.last().hello({ c: 3 });
    t.last().say({ type: 'channel_left', channel_id: 'c', seq: 4 });
    t.last().say({ type: 'channel_joined', channel_id: 'c', seq: 90 });
    t.last().message('c', 91);
    expect(t.seqs()).toEqual([4, 90, 91]);
    expect(t.last().of('resume')).toEqual([]);
  });
});

describe('the outbox', () => {
  test('sends with a version 7 UUID, and resolves with the reply', async () => {
    const t = start();
    t.last().hello();
    const { client_id, done } = t.client.send('c', 'hello');
    expect(client_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const sent = t.last().of('new_message')[0];
    expect(sent?.data).toEqual({ channel_id: 'c', content: 'hello', client_id });
    t.last().ack(sent, { status: 'sent', seq: 4, message_id: client_id });
    await expect(done).resolves.toMatchObject({ seq: 4 });
    expect(t.client.unsent).toBe(0);
  });

  test('resends after a reconnect, with the same client_id, until the message is acknowledged', async () => {
    const t = start();
    t.last().hello();
    const { client_id, done } = t.client.send('c', 'one');
    t.client.send('c', 'two');
    expect(t.last().of('new_message')).toHaveLength(1);
    t.last().end();
    await tick(500);
    expect(t.last().sent).toEqual([]);
    t.last().hello();
    expect(t.last().of('new_message').map((m) => m.data['client_id'])).toEqual([client_id]);
    t.last().ack(t.last().of('new_message')[0], { duplicate: true });
    await expect(done).resolves.toMatchObject({ duplicate: true });
    expect(t.last().of('new_message').map((m) => m.data['content'])).toEqual(['one', 'two']);
  });

  test('waits as long as the server requests, and keeps the order', async () => {
    const t = start();
    t.last().hello();
    void t.client.send('c', 'one');
    void t.client.send('c', 'two');
    void t.client.send('d', 'elsewhere');
    const sent = () => t.last().of('new_message').map((m) => m.data['content']);
    t.last().refuse(t.last().of('new_message')[0], 'rate_limited', 300);
    await tick(299);
    expect(sent()).toEqual(['one', 'elsewhere']);
    await tick(1);
    expect(sent()).toEqual(['one', 'elsewhere', 'one']);
    t.last().ack(t.last().of('new_message')[2]);
    await tick();
    expect(sent()).toEqual(['one', 'elsewhere', 'one', 'two']);
  });

  test('rejects a permanently refused message, and continues with the next', async () => {
    const t = start();
    t.last().hello();
    const first = t.client.send('c', 'one');
    void t.client.send('c', 'two');
    const refused = expect(first.done).rejects.toMatchObject({ code: 'forbidden' });
    t.last().refuse(t.last().of('new_message')[0], 'forbidden');
    await refused;
    await tick();
    expect(t.last().of('new_message')).toHaveLength(2);
  });

  test('resends a message that was not acknowledged in time', async () => {
    const t = start();
    t.last().hello();
    void t.client.send('c', 'one');
    for (let i = 0; i < 3; i++) {
      await tick(7500);
      t.last().say({ type: 'pong' });
    }
    expect(t.last().of('new_message')).toHaveLength(2);
  });

  test('is bounded, and is cleared when the client is closed', async () => {
    const t = start({ outboxLimit: 2 });
    const sent = [t.client.send('c', '1'), t.client.send('c', '2')];
    const waiting = sent.map((s) => expect(s.done).rejects.toThrow('closed'));
    await expect(t.client.send('c', '3').done).rejects.toMatchObject({ code: 'overloaded' });
    t.client.close();
    await Promise.all(waiting);
    await tick(60_000);
    expect(t.sockets).toHaveLength(1);
  });
});

test('a request rejects when there is no connection or the connection is lost', async () => {
  const t = start();
  await expect(t.client.request('join_channel', { channel_id: 'c' })).rejects.toMatchObject({ code: 'unavailable' });
  t.last().hello();
  const request = t.client.request('join_channel', { channel_id: 'c' });
  const lost = expect(request).rejects.toMatchObject({ code: 'unavailable' });
  t.last().end();
  await lost;
});
