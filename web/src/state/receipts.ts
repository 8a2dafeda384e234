import type { Channel, ChowkClient } from '@chowk/client';
import { withUnread } from './channels.ts';

const everyMs = 400;

/** Says how far the user has read, not more often than is of use. */
export class Receipts {
  private readonly busy = new Set<string>();
  private readonly later = new Map<string, number>();
  private readonly said = new Map<string, number>();

  constructor(
    private readonly client: ChowkClient,
    private readonly change: (id: string, f: (c: Channel) => Channel) => void,
  ) {}

  read(c: Channel, seq: number): void {
    const known = Math.max(this.said.get(c.id) ?? 0, c.my_membership?.last_read_seq ?? 0);
    if (!seq || (seq <= known && c.unread_count === 0)) return;
    if (this.busy.has(c.id)) this.later.set(c.id, seq);
    else void this.say(c.id, seq);
  }

  private async say(id: string, seq: number): Promise<void> {
    this.busy.add(id);
    try {
      const r = await this.client.request('read_receipt', { channel_id: id, seq });
      this.said.set(id, r.last_read_seq);
      this.change(id, (c) => withUnread(c, r.unread_count, r.last_read_seq));
    } catch {
      // It is said again with the next message, or the next look at the channel.
    }
    setTimeout(() => {
      this.busy.delete(id);
      const next = this.later.get(id);
      this.later.delete(id);
      if (next && next > (this.said.get(id) ?? 0)) void this.say(id, next);
    }, everyMs);
  }
}
