import { createContext } from 'svelte';
import type { Item } from './timeline.ts';
import { keyOf, type View } from './view.ts';

export interface Draft {
  text: string;
  /** The message that it replies to. */
  replyTo?: Item | undefined;
}

const emptyDraft: Draft = { text: '' };

/** What the user has begun to write, for each view. */
export class Drafts {
  private all = $state.raw<Readonly<Record<string, Draft>>>({});

  of(view: View): Draft {
    return this.all[keyOf(view)] ?? emptyDraft;
  }

  change(view: View, change: Partial<Draft>): void {
    this.all = { ...this.all, [keyOf(view)]: { ...this.of(view), ...change } };
  }

  clear(view: View): void {
    this.change(view, { text: '', replyTo: undefined });
  }
}

export const [useDrafts, provideDrafts] = createContext<Drafts>();
