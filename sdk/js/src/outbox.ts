import { asChowkError, ChowkError } from './error.ts';
import type { SendReply, SendRequest } from './types.ts';

interface Entry {
  request: SendRequest;
  attempts: number;
  inFlight: boolean;
  notBefore: number;
  resolve(reply: SendReply): void;
  reject(error: ChowkError): void;
}

export interface OutboxOptions {
  limit: number;
  /** Sends and gives the answer; it rejects when the connection is lost. */
  transmit(request: SendRequest): Promise<SendReply>;
  connected(): boolean;
}

/** How often an answer that the server itself calls its own mistake is asked for again. */
const maxInternal = 5;

/**
 * Messages that the server has not answered for. Each keeps its client_id until it
 * is acknowledged or refused for good, so sending it again never makes a second one.
 * One of a channel is under way at a time: a refusal that passes must not let later
 * ones overtake.
 */
export class Outbox {
  private readonly entries: Entry[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: OutboxOptions) {}

  get size(): number {
    return this.entries.length;
  }

  add(request: SendRequest): Promise<SendReply> {
    if (this.entries.length >= this.options.limit) {
      return Promise.reject(
        new ChowkError('overloaded', `${this.options.limit} messages already wait to be sent. Wait until the connection is back.`),
      );
    }
    return new Promise<SendReply>((resolve, reject) => {
      this.entries.push({ request, attempts: 0, inFlight: false, notBefore: 0, resolve, reject });
      this.flush();
    });
  }

  /** Sends what may be sent. It is called whenever that may have changed. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.options.connected()) return;
    const busy = new Set<string>();
    let wait = Infinity;
    for (const entry of [...this.entries]) {
      const channel = entry.request.channel_id;
      if (busy.has(channel)) continue;
      busy.add(channel);
      if (entry.inFlight) continue;
      const ms = entry.notBefore - performance.now();
      if (ms > 0) wait = Math.min(wait, ms);
      else void this.transmit(entry);
    }
    if (wait < Infinity) this.timer = setTimeout(() => this.flush(), wait);
  }

  /** Refuses everything that waits, for a client that is closed. */
  clear(error: ChowkError): void {
    clearTimeout(this.timer);
    for (const entry of this.entries.splice(0)) entry.reject(error);
  }

  private async transmit(entry: Entry): Promise<void> {
    entry.inFlight = true;
    entry.attempts++;
    try {
      const reply = await this.options.transmit(entry.request);
      if (this.remove(entry)) entry.resolve(reply);
    } catch (e) {
      const error = asChowkError(e);
      if (!error.retryable || (error.code === 'internal' && entry.attempts >= maxInternal)) {
        if (this.remove(entry)) entry.reject(error);
      } else {
        entry.notBefore = performance.now() + (error.retryAfterMs || (this.options.connected() ? 1000 : 0));
      }
    }
    entry.inFlight = false;
    this.flush();
  }

  private remove(entry: Entry): boolean {
    const i = this.entries.indexOf(entry);
    if (i >= 0) this.entries.splice(i, 1);
    return i >= 0;
  }
}
