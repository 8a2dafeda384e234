import type { ChowkClient } from '@chowk/client';

const sayEveryMs = 3_000;
const forgetMs = 6_000;

/** Who types where; and saying that this user does, not at every keystroke. */
export class Typing {
  private who = $state.raw<Readonly<Record<string, string[]>>>({});
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private saidIn: string | undefined;
  private saidAt = 0;
  private stopTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: ChowkClient) {}

  in(channel: string): string[] {
    return this.who[channel] ?? [];
  }

  heard(channel: string, user: string, isTyping: boolean): void {
    const key = `${channel} ${user}`;
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    const others = this.in(channel).filter((u) => u !== user);
    if (isTyping) {
      // Whoever goes away while typing does not say so.
      this.timers.set(key, setTimeout(() => this.heard(channel, user, false), forgetMs));
      others.push(user);
    }
    if (isTyping || others.length !== this.in(channel).length) this.who = { ...this.who, [channel]: others };
  }

  /** The user pressed a key. */
  say(channel: string): void {
    clearTimeout(this.stopTimer);
    this.stopTimer = setTimeout(() => this.stop(), sayEveryMs + 1_000);
    const now = performance.now();
    if (this.saidIn === channel && now - this.saidAt < sayEveryMs) return;
    if (this.saidIn && this.saidIn !== channel) this.stop();
    this.saidIn = channel;
    this.saidAt = now;
    this.tell(channel, true);
  }

  /** The user sent it, emptied it or went elsewhere. */
  stop(): void {
    clearTimeout(this.stopTimer);
    if (this.saidIn) this.tell(this.saidIn, false);
    this.saidIn = undefined;
  }

  private tell(channel_id: string, is_typing: boolean): void {
    // It is worth nothing a moment later, so nobody is told that it failed.
    this.client.request('typing', { channel_id, is_typing }).catch(() => {});
  }
}
