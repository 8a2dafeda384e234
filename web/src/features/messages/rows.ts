import { sameDay } from '../../lib/format.ts';
import type { Item } from './timeline.ts';

/** A message as a timeline shows it. */
export interface Row {
  message: Item;
  /** Whether the message is the first one of its day. */
  newDay: boolean;
  /** Whether the line above the unread messages is above this one. */
  firstNew: boolean;
  /** Whether the message belongs to the group of the one above, and is shown without a name. */
  continued: boolean;
}

const groupMs = 5 * 60_000;

/**
 * Returns the rows of a timeline. Consecutive messages of one author form a group for up to five minutes. Messages of
 * others with a seq above newAfter are new.
 */
export function rowsOf(items: Item[], newAfter: number | undefined, me: string): Row[] {
  const isNew = (m: Item) => m.delivery === 'sent' && m.seq > newAfter! && m.user_id !== me;
  const firstNew = newAfter === undefined ? undefined : items.find(isNew);
  let head: Item | undefined;
  return items.map((m, i): Row => {
    const newDay = i === 0 || !sameDay(items[i - 1]!.created_at, m.created_at);
    const row = { message: m, newDay, firstNew: m === firstNew };
    const continued = !newDay && !row.firstNew && !m.parent_message_id && !!head && sameGroup(head, m);
    if (!continued) head = m;
    return { ...row, continued };
  });
}

function sameGroup(head: Item, m: Item): boolean {
  return head.user_id === m.user_id && Date.parse(m.created_at) - Date.parse(head.created_at) < groupMs;
}
