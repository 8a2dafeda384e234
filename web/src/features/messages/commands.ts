import { uuidv7, type ChowkClient, type UserRef } from '@chowk/client';
import { createContext } from 'svelte';
import { messageOf } from '../../lib/errors.ts';
import { toasts } from '../../lib/toasts.svelte.ts';
import * as timeline from './timeline.ts';
import type { Item } from './timeline.ts';
import type { Timelines } from './timelines.svelte.ts';
import type { View } from './view.ts';

/** What the user does with messages. */
export class MessageCommands {
  constructor(
    private readonly client: ChowkClient,
    private readonly timelines: Timelines,
    private readonly me: UserRef,
  ) {}

  /** Sends a message and shows it at once. parent is the id of the message that it replies to. */
  send(view: View, content: string, parent: string | null): void {
    const m = timeline.unsent(uuidv7(), view.channel, this.me, content, parent);
    this.show(view, m);
  }

  retry(view: View, m: Item): void {
    this.show(view, { ...m, delivery: 'pending' });
  }

  discard(view: View, m: Item): void {
    this.timelines.update(view, (t) => timeline.remove(t, m.id));
  }

  private show(view: View, m: Item): void {
    this.timelines.update(view, (t) => timeline.addUnsent(t, m));
    void this.deliver(view, m);
  }

  private async deliver(view: View, m: Item): Promise<void> {
    const options = { client_id: m.id, ...(m.parent_message_id && { parent_message_id: m.parent_message_id }) };
    try {
      const reply = await this.client.send(m.channel_id, m.content, options).done;
      this.timelines.update(view, (t) => timeline.confirm(t, m.id, reply.seq, reply.created_at));
    } catch (e) {
      this.timelines.update(view, (t) => timeline.fail(t, m.id, messageOf(e)));
    }
  }

  /** Changes a message's text. Reports whether the server accepted it. */
  edit = (m: Item, content: string): Promise<boolean> =>
    attempt(this.client.request('edit_message', { channel_id: m.channel_id, message_id: m.id, content }));

  delete = (m: Item): Promise<boolean> =>
    attempt(this.client.request('delete_message', { channel_id: m.channel_id, message_id: m.id }));

  togglePin = (m: Item): Promise<boolean> =>
    attempt(
      this.client.request(m.is_pinned ? 'unpin_message' : 'pin_message', {
        channel_id: m.channel_id,
        message_id: m.id,
      }),
    );

  /** Adds the user's reaction, or removes it if there is one with this emoji. */
  toggleReaction(m: Item, emoji: string): Promise<boolean> {
    const mine = m.reactions.some((r) => r.emoji === emoji && r.user_id === this.me.id);
    const data = { channel_id: m.channel_id, message_id: m.id, emoji };
    return attempt(this.client.request(mine ? 'remove_reaction' : 'message_reaction', data));
  }
}

async function attempt(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (e) {
    toasts.error(e);
    return false;
  }
}

export const [useMessageCommands, provideMessageCommands] = createContext<MessageCommands>();
