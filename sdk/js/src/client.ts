import { Backoff } from './backoff.ts';
import { Cursors } from './cursors.ts';
import { Emitter } from './emitter.ts';
import { asChowkError, ChowkError, disconnected } from './error.ts';
import { Outbox } from './outbox.ts';
import { Pending } from './pending.ts';
import type { ConnectionFrame, ErrorFrame, NoticeFrame, Requests, RequestType, SendReply, ServerEvent, ServerFrame } from './types.ts';
import { uuidv7 } from './uuid.ts';

/** What the client needs of a WebSocket. */
export interface SocketLike {
  onmessage: ((e: { data: unknown }) => void) | null;
  onclose: ((e: { code: number }) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export interface ClientOptions {
  /** The address of the socket, such as wss://chat.example.org/api/v1/ws */
  url: string;
  /** Left out, the browser's cookie says who it is. */
  token?: string;
  /** How many messages may wait to be sent, 100 unless it is given. */
  outboxLimit?: number;
  /** Makes a socket, for tests and other platforms. */
  dial?: (url: string, protocols: string[]) => SocketLike;
  random?: () => number;
}

/** waiting: the connection was lost and will be made again. stopped: it will not. */
export type ConnectionState = 'stopped' | 'connecting' | 'connected' | 'waiting';

export interface ClientEvents {
  state: ConnectionState;
  dialling: { url: string };
  /** A socket was refused, or ended before its first frame; attempt counts from 1. */
  refused: { attempt: number };
  /** A socket is open. Its missed events come after this. */
  connection: ConnectionFrame;
  /** A channel's events in order and each once, and the latest state of things. */
  event: ServerEvent;
  /** What was seen of a channel does not fit its history: load it again. */
  resync: { channel_id: string };
  notice: NoticeFrame;
  /** The token is no longer good (4001) or the user is disabled (4003). */
  unauthorized: { code: number };
}

export interface Sending {
  /** The message's id, as soon as it exists. */
  client_id: string;
  done: Promise<SendReply>;
}

const protocol = 'chowk.v1';
const openTimeoutMs = 10_000;
const answerTimeoutMs = 20_000;
const pongTimeoutMs = 10_000;
const backoffBaseMs = 500;
const backoffCapMs = 30_000;
/** A connection that held this long was a good one: the next failure is a first one. */
const stableMs = 5_000;
/** While the browser says that there is no network, its word is checked this often. */
const offlineRetryMs = 5_000;
/** The server bounds the size of one request. */
const maxResume = 500;

const closeTokenExpired = 4001;
const closeUserDisabled = 4003;

/** One user's connection to chowk: at most one socket, kept open until close(). */
export class ChowkClient extends Emitter<ClientEvents> {
  private readonly cursors = new Cursors();
  private readonly pending = new Pending(answerTimeoutMs);
  private readonly backoff: Backoff;
  private readonly outbox: Outbox;
  private readonly dialSocket: (url: string, protocols: string[]) => SocketLike;
  private socket: SocketLike | undefined;
  private current: ConnectionState = 'stopped';
  private heartbeatMs = 30_000;
  private failures = 0;
  private openTimer: Timer;
  private retryTimer: Timer;
  private idleTimer: Timer;
  private stableTimer: Timer;
  private drainTimer: Timer;

  constructor(private readonly options: ClientOptions) {
    super();
    this.backoff = new Backoff(backoffBaseMs, backoffCapMs, options.random ?? Math.random);
    this.dialSocket = options.dial ?? ((url, protocols) => new WebSocket(url, protocols) as SocketLike);
    this.outbox = new Outbox({
      limit: options.outboxLimit ?? 100,
      transmit: (request) => this.request('new_message', request),
      connected: () => this.current === 'connected',
    });
  }

  get state(): ConnectionState {
    return this.current;
  }

  /** Connects, and stays connected until close(). Doing it twice changes nothing. */
  connect(): void {
    if (this.current !== 'stopped') return;
    listen('online', this.wake);
    listen('offline', this.probe);
    this.dial();
  }

  /** Ends the connection. What was not sent is refused. */
  close(): void {
    this.stop();
    this.outbox.clear(new ChowkError('unavailable', 'The connection was closed before the message was sent.'));
  }

  /** Tries at once instead of waiting, when something says that it may work now. */
  readonly wake = (): void => {
    if (this.current === 'waiting') this.dial();
    else this.probe();
  };

  /** Asks for something and gives the answer, or rejects with a ChowkError. */
  request<T extends RequestType>(type: T, data: Requests[T][0]): Promise<Requests[T][1]> {
    const socket = this.socket;
    if (this.current !== 'connected' || !socket) return Promise.reject(disconnected());
    const { id, answer } = this.pending.add();
    socket.send(JSON.stringify({ type, data, id }));
    return answer as Promise<Requests[T][1]>;
  }

  /**
   * Sends a message, now or when there is a connection again, exactly once. To send
   * one again that was refused, give its client_id.
   */
  send(channelId: string, content: string, more: { client_id?: string; parent_message_id?: string } = {}): Sending {
    const client_id = more.client_id ?? uuidv7();
    return { client_id, done: this.outbox.add({ channel_id: channelId, content, ...more, client_id }) };
  }

  /** How many messages wait to be sent. */
  get unsent(): number {
    return this.outbox.size;
  }

  /** Says from where a channel is known, for whoever loaded it again. */
  setCursor(channelId: string, seq: number): void {
    this.cursors.set(channelId, seq);
  }

  private enter(state: ConnectionState): void {
    if (this.current === state) return;
    this.current = state;
    this.emit('state', state);
  }

  private dial(): void {
    if (this.socket) return;
    clearTimeout(this.retryTimer);
    this.enter('connecting');
    this.emit('dialling', { url: this.options.url });
    const token = this.options.token;
    const socket = this.dialSocket(this.address(), token ? [protocol, `bearer.${token}`] : [protocol]);
    this.socket = socket;
    // A socket that was given up may still speak: it is no longer listened to.
    socket.onmessage = (e) => socket === this.socket && this.receive(e.data);
    socket.onclose = (e) => socket === this.socket && this.lost(e.code);
    this.openTimer = setTimeout(() => this.drop(), openTimeoutMs);
  }

  /** With what was seen last, so that what was missed comes without another round trip. */
  private address(): string {
    const resume = this.cursors.handshake();
    if (!resume) return this.options.url;
    return `${this.options.url}${this.options.url.includes('?') ? '&' : '?'}resume=${resume}`;
  }

  /** Gives the socket up without waiting for the other side. */
  private drop(): void {
    const socket = this.socket;
    if (!socket) return;
    this.lost(1006);
    socket.close();
  }

  private lost(code: number): void {
    const opened = this.current === 'connected';
    this.release();
    if (code === closeTokenExpired || code === closeUserDisabled) {
      this.stop();
      this.emit('unauthorized', { code });
      return;
    }
    this.enter('waiting');
    this.retryIn(offline() ? Math.max(offlineRetryMs, this.backoff.next()) : this.backoff.next());
    if (!opened) this.emit('refused', { attempt: ++this.failures });
  }

  private retryIn(ms: number): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.dial(), ms);
  }

  /** Forgets the socket and whatever belongs to it. */
  private release(): void {
    this.socket = undefined;
    for (const t of [this.openTimer, this.idleTimer, this.stableTimer, this.drainTimer]) clearTimeout(t);
    this.pending.failAll(disconnected());
  }

  private stop(): void {
    const socket = this.socket;
    unlisten('online', this.wake);
    unlisten('offline', this.probe);
    this.enter('stopped');
    this.release();
    clearTimeout(this.retryTimer);
    socket?.close(1000);
  }

  private receive(data: unknown): void {
    this.awaitSilence();
    let frame: ServerFrame;
    try {
      frame = JSON.parse(String(data)) as ServerFrame;
    } catch {
      return; // not of this protocol
    }
    switch (frame.type) {
      case 'connection':
        return this.opened(frame);
      case 'ack':
        return this.pending.resolve(frame.id, frame.response);
      case 'error':
        return this.refusal(frame);
      case 'notice':
        return this.notice(frame);
      case 'pong':
        return;
      default:
        return this.event(frame);
    }
  }

  private opened(frame: ConnectionFrame): void {
    clearTimeout(this.openTimer);
    this.heartbeatMs = Math.max(1, frame.heartbeat_s) * 1000;
    this.failures = 0;
    this.stableTimer = setTimeout(() => this.backoff.reset(), stableMs);
    const { resume, resync } = this.cursors.opened(frame);
    this.enter('connected');
    this.emit('connection', frame);
    for (const channel_id of resync) this.emit('resync', { channel_id });
    for (let i = 0; i < resume.length; i += maxResume) void this.resume(resume.slice(i, i + maxResume));
    this.outbox.flush();
    this.awaitSilence();
  }

  /** Asks for what was missed. When that cannot be had, the channels are to be loaded again. */
  private async resume(channels: string[]): Promise<void> {
    const socket = this.socket;
    try {
      await this.request('resume', this.cursors.resume(channels));
      this.cursors.resumed(channels);
    } catch (e) {
      if (socket !== this.socket) return; // the next connection resumes
      const error = asChowkError(e);
      if (error.retryable) {
        setTimeout(() => socket === this.socket && void this.resume(channels), error.retryAfterMs || 1000);
      } else {
        for (const id of channels) this.resync(id);
      }
    }
  }

  private resync(channel: string): void {
    this.cursors.forget(channel);
    this.emit('resync', { channel_id: channel });
  }

  private refusal(frame: ErrorFrame): void {
    if (frame.id) {
      this.pending.reject(frame.id, new ChowkError(frame.code, frame.message, frame.retry_after_ms));
      return;
    }
    for (const id of frame.channel_ids ?? []) {
      if (frame.code !== 'resync') this.cursors.forget(id);
      else if (!this.cursors.isReset(id)) this.resync(id);
    }
  }

  private notice(frame: NoticeFrame): void {
    this.emit('notice', frame);
    if (frame.code !== 'draining') return;
    // The server chose the moment so that its clients do not all go at once.
    const socket = this.socket;
    clearTimeout(this.drainTimer);
    this.drainTimer = setTimeout(() => socket === this.socket && this.drop(), frame.reconnect_after_ms ?? 0);
  }

  private event(frame: ServerEvent): void {
    if (!('seq' in frame)) {
      this.emit('event', frame);
      return;
    }
    switch (this.cursors.accept(frame)) {
      case 'deliver':
        return this.emit('event', frame);
      case 'gap':
        void this.resume([frame.channel_id]);
    }
  }

  private awaitSilence(): void {
    clearTimeout(this.idleTimer);
    if (this.current === 'connected') this.idleTimer = setTimeout(this.probe, this.heartbeatMs);
  }

  /** Finds out whether anybody is still there. */
  private readonly probe = (): void => {
    if (this.current !== 'connected') return;
    this.socket?.send('{"type":"ping"}');
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => this.drop(), pongTimeoutMs);
  };
}

type Timer = ReturnType<typeof setTimeout> | undefined;

function offline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}

function listen(name: string, f: () => void): void {
  globalThis.addEventListener?.(name, f);
}

function unlisten(name: string, f: () => void): void {
  globalThis.removeEventListener?.(name, f);
}
