import { ChowkError, type Message, type Rest } from '@chowk/client';
import { createContext } from 'svelte';
import { plain } from '../../lib/markdown.ts';
import type { Item } from './timeline.ts';
import type { Timelines } from './timelines.svelte.ts';
import type { View } from './view.ts';

const maxQuoted = 300;

/** Excerpts of the messages that replies refer to. */
export class Quotes {
  /** Excerpts of messages that are not in a loaded timeline, by id. */
  private loaded = $state.raw<Readonly<Record<string, string>>>({});

  constructor(
    private readonly rest: Rest,
    private readonly timelines: Timelines,
  ) {}

  /** Returns the excerpt for a reply, or undefined while it is not loaded. */
  of(view: View, reply: Item): string | undefined {
    const id = reply.parent_message_id;
    if (!id) return undefined;
    const parent = this.timelines.of(view).items.find((m) => m.id === id);
    return parent ? excerpt(parent) : this.loaded[id];
  }

  /** Loads the message that a reply refers to, unless its timeline has it. */
  async load(view: View, reply: Item): Promise<void> {
    const id = reply.parent_message_id;
    if (!id || this.of(view, reply) !== undefined) return;
    this.set(id, '…');
    try {
      const parent = await this.rest.message(reply.channel_id, id);
      this.set(id, parent.is_deleted ? deleted : excerpt(parent));
    } catch (e) {
      const missing = e instanceof ChowkError && e.code === 'not_found';
      this.set(id, missing ? deleted : "Couldn't load the original message");
    }
  }

  private set(id: string, text: string): void {
    this.loaded = { ...this.loaded, [id]: text };
  }
}

const deleted = 'The original message was deleted';

type Quoted = Pick<Message, 'user' | 'user_id' | 'content'>;

const excerpt = (m: Quoted): string => `${m.user?.name ?? m.user_id}: ${plain(m.content.slice(0, maxQuoted))}`;

export const [useQuotes, provideQuotes] = createContext<Quotes>();
