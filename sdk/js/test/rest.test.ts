import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Rest } from '../src/index.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ detail: `it is ${code}`, code }), { status, headers });

/** A server that returns these responses in turn, and then the last one repeatedly. */
function server(...answers: (() => Response)[]) {
  const calls: { url: string; init: RequestInit }[] = [];
  const fetch = vi.fn(async (url: string, init: RequestInit) => {
    calls.push({ url, init });
    return (answers.length > 1 ? answers.shift()! : answers[0]!)();
  }) as unknown as typeof globalThis.fetch;
  return { calls, rest: new Rest({ base: '/api/v1', token: 't', fetch }) };
}

test('a call sends its token, path and body', async () => {
  const { calls, rest } = server(() => new Response('{"id":"c"}', { status: 201 }));
  await expect(rest.createChannel({ name: 'tea' })).resolves.toEqual({ id: 'c' });
  expect(calls[0]).toMatchObject({
    url: '/api/v1/channels/',
    init: {
      method: 'POST',
      body: '{"name":"tea"}',
      headers: { Authorization: 'Bearer t', 'Content-Type': 'application/json' },
    },
  });
});

test('a read is repeated when the server is busy, after the requested delay', async () => {
  const { calls, rest } = server(() => problem(503, 'overloaded', { 'Retry-After': '2' }), () => new Response('[]'));
  const answer = rest.channels();
  await vi.advanceTimersByTimeAsync(1999);
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(501);
  await expect(answer).resolves.toEqual([]);
});

test('a read is not repeated forever', async () => {
  const { calls, rest } = server(() => problem(503, 'unavailable'));
  const answer = expect(rest.channels()).rejects.toMatchObject({
    code: 'unavailable',
    status: 503,
    message: 'it is unavailable',
  });
  await vi.advanceTimersByTimeAsync(60_000);
  await answer;
  expect(calls).toHaveLength(4);
});

test('writes and refused calls are not repeated', async () => {
  const busy = server(() => problem(503, 'overloaded'));
  await expect(busy.rest.logIn('a', 'b')).rejects.toMatchObject({ code: 'overloaded' });
  const refused = server(() => problem(403, 'forbidden'));
  await expect(refused.rest.channels()).rejects.toMatchObject({ code: 'forbidden' });
  expect([busy.calls.length, refused.calls.length]).toEqual([1, 1]);
});

test('a response other than problem+json, and no response, have a readable message', async () => {
  const proxy = server(() => new Response('<html>', { status: 404 }));
  const message = 'The server responded with status 404. Try again.';
  await expect(proxy.rest.channels()).rejects.toMatchObject({ status: 404, message });
  const away = server(() => {
    throw new TypeError('network');
  });
  await expect(away.rest.channels()).rejects.toMatchObject({ code: 'unavailable', status: 0 });
});
