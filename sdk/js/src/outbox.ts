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
  /** Sends a message and resolves with the reply; rejects when the connection is lost. */
  transmit(request: SendRequest): Promise<SendReply>;
  connected(): boolean;
}

/** Maximum number of attempts when the server answers with the code internal. */
const maxInternalAttempts = 5;

/**
 * Messages that the server has not acknowledged. Each keeps its client_id until it is acknowledged or permanently
 * refused, so sending it again never creates a second message. Each channel has at most one message in flight, so that
 * a temporary refusal does not let later messages overtake it.
 */
export class Outbox {
  private readonly entries: Entry[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: OutboxOptions) {}

  get size(): number {
    return this.entries.length;
  }

  /** Adds a message. Resolves with the reply to it, or rejects when it is permanently refused. */
  add(request: SendRequest): Promise<SendReply> {
    if (this.entries.length >= this.options.limit) {
      const message = `You already have ${this.options.limit} unsent messages. Wait until they have been sent.`;
      return Promise.reject(new ChowkError('overloaded', message));
    }
    return new Promise<SendReply>((resolve, reject) => {
      this.entries.push({ request, attempts: 0, inFlight: false, notBefore: 0, resolve, reject });
      this.flush();
    });
  }

  /** Sends every message that can be sent now. Called whenever that may have changed. */
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

  /** Rejects all messages, when the client is closed. */
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
      if (!error.retryable || (error.code === 'internal' && entry.attempts >= maxInternalAttempts)) {
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
