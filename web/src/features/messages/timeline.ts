import type { LogEvent, Message, MessageData, Reaction, UserRef } from '@chowk/client';

/** The loaded messages of a view. The functions below return a new timeline and leave theirs unchanged. */
export interface Timeline {
  /** Oldest first. Unsent messages are last. */
  items: Item[];
  hasOlder: boolean;
  loaded: boolean;
}

/** The fields of a message that the page shows. */
type Shown = Pick<
  Message,
  | 'id'
  | 'channel_id'
  | 'seq'
  | 'user_id'
  | 'content'
  | 'message_type'
  | 'parent_message_id'
  | 'file_url'
  | 'file_name'
  | 'is_edited'
  | 'is_deleted'
  | 'created_at'
  | 'user'
>;

export interface Item extends Shown {
  reactions: Pick<Reaction, 'emoji' | 'user_id'>[];
  is_pinned?: boolean;
  delivery: 'sent' | 'pending' | 'failed';
  /** Why the message could not be sent. */
  error?: string;
}

export const emptyTimeline: Timeline = { items: [], hasOlder: true, loaded: false };

/** Number of messages in a page of history. */
export const pageSize = 50;
/** Number of messages that are kept while the newest ones are in view. */
export const maxKept = 300;

const order = (a: Item, b: Item): number => {
  if (a.delivery === 'sent' && b.delivery === 'sent') return a.seq - b.seq;
  if (a.delivery === 'sent') return -1;
  if (b.delivery === 'sent') return 1;
  return a.created_at < b.created_at ? -1 : 1;
};

function put(t: Timeline, items: Item[]): Timeline {
  const byId = new Map(t.items.map((m) => [m.id, m]));
  for (const m of items) byId.set(m.id, m);
  return { ...t, items: [...byId.values()].sort(order) };
}

function change(t: Timeline, id: string, f: (m: Item) => Item): Timeline {
  const i = t.items.findIndex((m) => m.id === id);
  if (i < 0) return t;
  const items = t.items.slice();
  items[i] = f(items[i]!);
  return { ...t, items };
}

/** Adds a page of history, newest first, as the REST API returns it. */
export function addPage(t: Timeline, page: Message[], limit = pageSize): Timeline {
  const next = put(t, page.filter((m) => !m.is_deleted).map((m): Item => ({ ...m, delivery: 'sent' })));
  return { ...next, loaded: true, hasOlder: page.length >= limit };
}

/** Replaces everything except unsent messages with the newest page. */
export function reload(t: Timeline, page: Message[]): Timeline {
  return addPage({ ...emptyTimeline, items: t.items.filter((m) => m.delivery !== 'sent') }, page);
}

/** Removes the oldest messages beyond maxKept. They can be loaded again. */
export function trim(t: Timeline): Timeline {
  return t.items.length > maxKept ? { ...t, items: t.items.slice(-maxKept), hasOlder: true } : t;
}

/** Converts a message from the form that the socket delivers. */
export function fromFrame(d: MessageData): Item {
  const file = d.attachments?.[0];
  return {
    id: d.id,
    channel_id: d.channel_id,
    seq: d.seq,
    user_id: d.user_id,
    content: d.content,
    message_type: d.message_type,
    parent_message_id: d.parent_message_id ?? null,
    file_url: file?.file_url ?? null,
    file_name: file?.file_name ?? null,
    is_edited: d.is_edited ?? false,
    is_deleted: d.is_deleted ?? false,
    created_at: d.created_at,
    reactions: [],
    ...(d.user && { user: d.user }),
    delivery: 'sent',
  };
}

/** Returns a message that the user has just written. */
export function unsent(id: string, channel: string, me: UserRef, content: string, parent: string | null): Item {
  return {
    ...fromFrame({
      id,
      channel_id: channel,
      seq: 0,
      user_id: me.id,
      content,
      created_at: new Date().toISOString(),
      message_type: 'text',
      ...(parent && { parent_message_id: parent }),
      user: me,
    }),
    delivery: 'pending',
  };
}

export const addUnsent = (t: Timeline, m: Item): Timeline => put(t, [m]);

/** Marks a message as sent and moves it to its place. */
export function confirm(t: Timeline, id: string, seq: number, createdAt: string): Timeline {
  const next = change(t, id, (m) => ({ ...m, delivery: 'sent', seq, created_at: createdAt }));
  return { ...next, items: next.items.slice().sort(order) };
}

/** Marks a message as failed, unless its event has arrived: then only the reply was lost. */
export function fail(t: Timeline, id: string, error: string): Timeline {
  return change(t, id, (m) => (m.delivery === 'sent' ? m : { ...m, delivery: 'failed', error }));
}

export const remove = (t: Timeline, id: string): Timeline => ({ ...t, items: t.items.filter((m) => m.id !== id) });

/** Applies an event. Applying it again changes nothing. */
export function apply(t: Timeline, e: LogEvent): Timeline {
  switch (e.type) {
    case 'message': {
      if (e.data.is_deleted) return remove(t, e.data.id);
      const reactions = t.items.find((m) => m.id === e.data.id)?.reactions ?? [];
      return put(t, [{ ...fromFrame(e.data), reactions }]);
    }
    case 'message_updated':
      return change(t, e.message_id, (m) => ({ ...m, content: e.content, is_edited: true }));
    case 'message_pinned':
    case 'message_unpinned':
      return change(t, e.message_id, (m) => ({ ...m, is_pinned: e.type === 'message_pinned' }));
    case 'message_deleted':
      return remove(t, e.message_id);
    case 'message_reaction': {
      const { emoji, user_id } = e;
      return change(t, e.message_id, (m) => ({ ...m, reactions: [...without(m, e), { emoji, user_id }] }));
    }
    case 'reaction_removed':
      return change(t, e.message_id, (m) => ({ ...m, reactions: without(m, e) }));
    default:
      return t;
  }
}

const without = (m: Item, r: { emoji: string; user_id: string }) =>
  m.reactions.filter((x) => x.emoji !== r.emoji || x.user_id !== r.user_id);

export interface ReactionGroup {
  emoji: string;
  users: string[];
}

/** Returns the reactions by emoji, in the order in which each was first added. */
export function grouped(m: Item): ReactionGroup[] {
  const groups = new Map<string, string[]>();
  for (const r of m.reactions) groups.set(r.emoji, [...(groups.get(r.emoji) ?? []), r.user_id]);
  return [...groups].map(([emoji, users]) => ({ emoji, users }));
}

/** Returns the newest message that the server has stored. */
export const newest = (t: Timeline): Item | undefined => t.items.findLast((m) => m.delivery === 'sent');

/** Returns the seq of the newest stored message, or 0. */
export const lastSeq = (t: Timeline): number => newest(t)?.seq ?? 0;
