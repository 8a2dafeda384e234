import { Backoff } from './backoff.ts';
import { Cursors } from './cursors.ts';
import { Emitter } from './emitter.ts';
import { asChowkError, ChowkError, disconnected } from './error.ts';
import { Outbox } from './outbox.ts';
import { Pending } from './pending.ts';
import type {
  ConnectionFrame,
  ErrorFrame,
  NoticeFrame,
  Requests,
  RequestType,
  SendReply,
  ServerEvent,
  ServerFrame,
} from './types.ts';
import { uuidv7 } from './uuid.ts';

/** The part of a WebSocket that the client uses. */
export interface SocketLike {
  onmessage: ((e: { data: unknown }) => void) | null;
  onclose: ((e: { code: number }) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export interface ClientOptions {
  /** URL of the WebSocket endpoint, such as wss://chat.example.org/api/v1/ws. */
  url: string;
  /** Access token. Without one, the browser's cookie authenticates the socket. */
  token?: string;
  /** Maximum number of unsent messages. Default: 100. */
  outboxLimit?: number;
  /** Opens a socket. Replace it in tests and on platforms without WebSocket. */
  dial?: (url: string, protocols: string[]) => SocketLike;
  /** Source of jitter: a number from 0 to 1. Default: Math.random. */
  random?: () => number;
}

/** waiting: the connection was lost and the client will reconnect. stopped: it will not. */
export type ConnectionState = 'stopped' | 'connecting' | 'connected' | 'waiting';

export interface ClientEvents {
  state: ConnectionState;
  /** The client is opening a socket. */
  dialling: { url: string };
  /** A socket was refused, or closed before its first frame. attempt counts from 1. */
  refused: { attempt: number };
  /** A socket is open. Events that were missed follow. */
  connection: ConnectionFrame;
  /** An event: entries of a channel's log arrive in order and exactly once. */
  event: ServerEvent;
  /** The channel cannot be resumed from what the client has seen. Reload it. */
  resync: { channel_id: string };
  notice: NoticeFrame;
  /** The token has expired (4001) or the user is disabled (4003). The client has stopped. */
  unauthorized: { code: number };
}

export interface Sending {
  /** Identifies the message. If it is a UUID of version 7, it is the id of the stored message. */
  client_id: string;
  /** Resolves when the message is stored; rejects with a ChowkError when it never will be. */
  done: Promise<SendReply>;
}

const protocol = 'chowk.v1';
const openTimeoutMs = 10_000;
const answerTimeoutMs = 20_000;
const pongTimeoutMs = 10_000;
const backoffBaseMs = 500;
const backoffCapMs = 30_000;
/** After this long, a connection counts as stable and the backoff starts again. */
const stableMs = 5_000;
/** Minimum delay between attempts while the browser reports that it is offline. */
const offlineRetryMs = 5_000;
/** Maximum number of channels in one resume request; the server limits its size. */
const maxResume = 500;

const closeTokenExpired = 4001;
const closeUserDisabled = 4003;

/** One user's connection to chowk: at most one socket, which is reopened until close() is called. */
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

  /** Connects, and reconnects until close() is called. Calling it again has no effect. */
  connect(): void {
    if (this.current !== 'stopped') return;
    listen('online', this.wake);
    listen('offline', this.probe);
    this.dial();
  }

  /** Closes the connection and rejects all unsent messages. */
  close(): void {
    this.stop();
    this.outbox.clear(new ChowkError('unavailable', 'The connection was closed before the message was sent.'));
  }

  /** Reconnects now instead of after the current delay; if connected, checks that the server still answers. */
  readonly wake = (): void => {
    if (this.current === 'waiting') this.dial();
    else this.probe();
  };

  /** Sends a command. Resolves with the server's reply or rejects with a ChowkError. */
  request<T extends RequestType>(type: T, data: Requests[T][0]): Promise<Requests[T][1]> {
    const socket = this.socket;
    if (this.current !== 'connected' || !socket) return Promise.reject(disconnected());
    const { id, answer } = this.pending.add();
    socket.send(JSON.stringify({ type, data, id }));
    return answer as Promise<Requests[T][1]>;
  }

  /**
   * Sends a message exactly once: now, or as soon as the client is connected. To retry a message that was rejected,
   * pass its client_id.
   */
  send(channelId: string, content: string, options: { client_id?: string; parent_message_id?: string } = {}): Sending {
    const client_id = options.client_id ?? uuidv7();
    return { client_id, done: this.outbox.add({ channel_id: channelId, content, ...options, client_id }) };
  }

  /** Number of messages that the server has not acknowledged. */
  get unsent(): number {
    return this.outbox.size;
  }

  /** Sets the seq up to which a channel is known, after it was reloaded. */
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
    // An abandoned socket may still deliver frames. They are ignored.
    socket.onmessage = (e) => socket === this.socket && this.receive(e.data);
    socket.onclose = (e) => socket === this.socket && this.lost(e.code);
    this.openTimer = setTimeout(() => this.drop(), openTimeoutMs);
  }

  /** Returns the URL with the cursors of the last connection, so that resuming takes no further round trip. */
  private address(): string {
    const resume = this.cursors.handshake();
    if (!resume) return this.options.url;
    return `${this.options.url}${this.options.url.includes('?') ? '&' : '?'}resume=${resume}`;
  }

  /** Abandons the socket without waiting for the server to close it. */
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

  /** Discards the socket, its timers and its pending requests. */
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
    this.restartIdleTimer();
    let frame: ServerFrame;
    try {
      frame = JSON.parse(String(data)) as ServerFrame;
    } catch {
      return; // not a frame of this protocol
    }
    switch (frame.type) {
      case 'connection':
        return this.opened(frame);
      case 'ack':
        return this.pending.resolve(frame.id, frame.response);
      case 'error':
        return this.rejected(frame);
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
    this.restartIdleTimer();
  }

  /** Requests the missed events. If the server cannot provide them, the channels must be reloaded. */
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

  private rejected(frame: ErrorFrame): void {
    if (frame.id) {
      this.pending.reject(frame.id, new ChowkError(frame.code, frame.message, frame.retry_after_ms));
      return;
    }
    for (const id of frame.channel_ids ?? []) {
      if (frame.code !== 'resync') this.cursors.forget(id);
      else if (!this.cursors.takeReset(id)) this.resync(id);
    }
  }

  private notice(frame: NoticeFrame): void {
    this.emit('notice', frame);
    if (frame.code !== 'draining') return;
    // Each client gets a different delay, so that they do not all reconnect at once.
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

  private restartIdleTimer(): void {
    clearTimeout(this.idleTimer);
    if (this.current === 'connected') this.idleTimer = setTimeout(this.probe, this.heartbeatMs);
  }

  /** Pings the server, and abandons the socket if nothing arrives in time. */
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
