import type { ChowkClient, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';

/** Minimum time between two notices that this user is typing. */
const repeatMs = 3_000;
/** After this long without another notice, a user has stopped typing. */
const expiryMs = 6_000;

/** Who is typing in each channel. Also notifies the server, at a limited rate, that this user is. */
export class Typing {
  private users = $state.raw<Readonly<Record<string, string[]>>>({});
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private notifiedIn: string | undefined;
  private notifiedAt = 0;
  private stopTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: ChowkClient) {}

  in(channel: string): string[] {
    return this.users[channel] ?? [];
  }

  apply(e: ServerEvent): void {
    if (e.type === 'typing') this.set(e.channel_id, e.user_id, e.is_typing);
    if (e.type === 'message') this.set(e.channel_id, e.data.user_id, false);
  }

  private set(channel: string, user: string, isTyping: boolean): void {
    const key = `${channel} ${user}`;
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    const others = this.in(channel).filter((u) => u !== user);
    if (isTyping) {
      // A client that disappears sends no notice.
      this.timers.set(key, setTimeout(() => this.set(channel, user, false), expiryMs));
      others.push(user);
    }
    if (isTyping || others.length !== this.in(channel).length) this.users = { ...this.users, [channel]: others };
  }

  /** The user pressed a key in the composer. */
  pressed(channel: string): void {
    clearTimeout(this.stopTimer);
    this.stopTimer = setTimeout(() => this.stop(), repeatMs + 1_000);
    const now = performance.now();
    if (this.notifiedIn === channel && now - this.notifiedAt < repeatMs) return;
    if (this.notifiedIn && this.notifiedIn !== channel) this.stop();
    this.notifiedIn = channel;
    this.notifiedAt = now;
    this.notify(channel, true);
  }

  /** The user sent the message, emptied the composer or left the channel. */
  stop(): void {
    clearTimeout(this.stopTimer);
    if (this.notifiedIn) this.notify(this.notifiedIn, false);
    this.notifiedIn = undefined;
  }

  private notify(channel_id: string, is_typing: boolean): void {
    // Outdated within seconds, so an error does not matter.
    this.client.request('typing', { channel_id, is_typing }).catch(() => {});
  }
}

export const [useTyping, provideTyping] = createContext<Typing>();
