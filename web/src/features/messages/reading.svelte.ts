import type { Channel, ChowkClient, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';
import type { Channels } from '../channels/channels.svelte.ts';
import { withUnread } from '../channels/list.ts';
import type { People } from '../people/people.svelte.ts';

/** Minimum time between two receipts for one channel. */
const intervalMs = 400;

/** How far the user has read: what they see now, the receipts to the server, and the counts to show. */
export class Reading {
  /** The channel whose newest message is on screen. */
  viewing = $state<string>();
  /** Number of unread messages in all channels. */
  readonly total = $derived.by(() => this.channels.list.reduce((n, c) => n + this.unread(c), 0));
  private readonly busy = new Set<string>();
  private readonly queued = new Map<string, number>();
  private readonly confirmed = new Map<string, number>();

  constructor(
    private readonly client: ChowkClient,
    private readonly channels: Channels,
    private readonly people: People,
  ) {}

  /** Returns the count to show. A channel on screen is about to be marked as read: its badge would only flicker. */
  unread(c: Channel): number {
    return c.id === this.viewing ? 0 : c.unread_count;
  }

  /** Marks a channel as read up to a seq. */
  read(id: string, seq: number): void {
    const c = this.channels.get(id);
    if (!c || !seq) return;
    const known = Math.max(this.confirmed.get(id) ?? 0, c.my_membership?.last_read_seq ?? 0);
    if (seq <= known && c.unread_count === 0) return;
    if (this.busy.has(id)) this.queued.set(id, seq);
    else void this.send(id, seq);
  }

  private async send(id: string, seq: number): Promise<void> {
    this.busy.add(id);
    try {
      const reply = await this.client.request('read_receipt', { channel_id: id, seq });
      this.confirmed.set(id, reply.last_read_seq);
      this.channels.update(id, (c) => withUnread(c, reply.unread_count, reply.last_read_seq));
    } catch {
      // Sent again with the next message, or when the channel is next on screen.
    }
    setTimeout(() => this.next(id), intervalMs);
  }

  private next(id: string): void {
    this.busy.delete(id);
    const seq = this.queued.get(id) ?? 0;
    this.queued.delete(id);
    if (seq > (this.confirmed.get(id) ?? 0)) void this.send(id, seq);
  }

  apply(e: ServerEvent): void {
    if (e.type !== 'read_receipt' || !this.people.isMe(e.user_id) || this.viewing === e.channel_id) return;
    // Read in another tab or device. If not everything was read, only the server knows the count.
    if (this.channels.get(e.channel_id)?.unread_count) void this.channels.refresh(e.channel_id);
  }
}

export const [useReading, provideReading] = createContext<Reading>();
