import { ChowkClient, type ClientOptions, type ServerEvent, type SocketLike } from '../src/index.ts';

/** A socket with the test as its server. */
export class FakeSocket implements SocketLike {
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  sent: { type: string; data: Record<string, unknown>; id: string }[] = [];
  closedBy: 'client' | 'server' | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(data: string) {
    this.sent.push(JSON.parse(data));
  }

  close() {
    this.closedBy ??= 'client';
  }

  say(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  hello(channels: Record<string, number> = {}, epoch = 'e1', resumed?: Record<string, { from: number; to: number }>) {
    this.say({
      type: 'connection',
      user_id: 'ada',
      connection_id: 'x',
      epoch,
      durability: 'disk',
      heartbeat_s: 30,
      channels: Object.entries(channels).map(([id, last_seq]) => ({ id, last_seq, last_read_seq: 0, unread_count: 0 })),
      resumed,
    });
  }

  message(channel_id: string, seq: number, more: object = {}) {
    this.say({ type: 'message', channel_id, seq, data: { id: `m${seq}`, seq, channel_id }, ...more });
  }

  end(code = 1006) {
    this.closedBy ??= 'server';
    this.onclose?.({ code });
  }

  of(type: string) {
    return this.sent.filter((f) => f.type === type);
  }

  ack(request: { type: string; id: string } | undefined, response: object = {}) {
    this.say({ type: 'ack', event: request!.type, id: request!.id, response });
  }

  refuse(request: { id: string } | undefined, code: string, retry_after_ms?: number) {
    this.say({ type: 'error', id: request!.id, code, message: code, retry_after_ms });
  }
}

/** Starts a client. Returns it with the sockets that it opens and the events that it emits. */
export function start(options: Partial<ClientOptions> = {}) {
  const sockets: FakeSocket[] = [];
  const client = new ChowkClient({
    url: 'ws://test/api/v1/ws',
    random: () => 0.5,
    dial: (url, protocols) => {
      const s = new FakeSocket(url, protocols);
      sockets.push(s);
      return s;
    },
    ...options,
  });
  const events: ServerEvent[] = [];
  const resyncs: string[] = [];
  client.on('event', (e) => events.push(e));
  client.on('resync', (r) => resyncs.push(r.channel_id));
  client.connect();
  return {
    client,
    sockets,
    events,
    resyncs,
    seqs: () => events.flatMap((e) => ('seq' in e ? [e.seq] : [])),
    last: () => sockets[sockets.length - 1]!,
    open: () => sockets.filter((s) => !s.closedBy),
  };
}
