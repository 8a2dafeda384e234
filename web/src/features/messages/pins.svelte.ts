import type { Message, Rest, ServerEvent } from '@chowk/client';
import { createContext } from 'svelte';
import { toasts } from '../../lib/toasts.svelte.ts';

const changesPins = new Set(['message_pinned', 'message_unpinned', 'message_updated', 'message_deleted']);

/** The pinned messages of the channels whose details were opened, newest first. */
export class Pins {
  private all = $state.raw<Readonly<Record<string, Message[]>>>({});

  constructor(private readonly rest: Rest) {}

  of = (channel: string): Message[] => this.all[channel] ?? [];

  async load(channel: string): Promise<void> {
    try {
      const pinned = await this.rest.messages(channel, { limit: 100, pinned: true });
      this.all = { ...this.all, [channel]: pinned };
    } catch (e) {
      toasts.error(e);
    }
  }

  apply(e: ServerEvent): void {
    if ('channel_id' in e && e.channel_id && this.all[e.channel_id] && changesPins.has(e.type)) {
      void this.load(e.channel_id);
    }
  }
}

export const [usePins, providePins] = createContext<Pins>();
