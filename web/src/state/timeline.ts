import type { LogEvent, Message, MessageData, UserRef } from '@chowk/client';

/** What a channel's messages are on this page. The functions below leave theirs alone and give a new one. */
export interface Timeline {
  /** Oldest first; what is not yet sent is last. */
  items: Item[];
  hasOlder: boolean;
  loaded: boolean;
}

export interface Item extends Message {
  delivery: 'sent' | 'pending' | 'failed';
  error?: string;
}

export const emptyTimeline: Timeline = { items: [], hasOlder: true, loaded: false };

export const pageSize = 50;
/** More than this is let go of again while the newest is in view. */
export const keep = 300;

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

/** A page of history, newest first, as REST gives it. */
export function addPage(t: Timeline, page: Message[], asked = pageSize): Timeline {
  const next = put(t, page.filter((m) => !m.is_deleted).map((m): Item => ({ ...m, delivery: 'sent' })));
  return { ...next, loaded: true, hasOlder: page.length >= asked };
}

/** A channel that is loaded again: only what was never sent is kept. */
export function reload(t: Timeline, page: Message[]): Timeline {
  return addPage({ ...emptyTimeline, items: t.items.filter((m) => m.delivery !== 'sent') }, page);
}

/** Lets go of the oldest, which can be loaded again. */
export function trim(t: Timeline): Timeline {
  return t.items.length > keep ? { ...t, items: t.items.slice(-keep), hasOlder: true } : t;
}

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

/** A message that the user has just written. */
export function draft(id: string, channel: string, me: UserRef, content: string, parent: string | null): Item {
  return {
    ...fromFrame({
      id, channel_id: channel, seq: 0, user_id: me.id, content, created_at: new Date().toISOString(), message_type: 'text',
      parent_message_id: parent, user: me,
    }),
    delivery: 'pending',
  };
}

export const addDraft = (t: Timeline, m: Item): Timeline => put(t, [m]);

export function confirm(t: Timeline, id: string, seq: number, createdAt: string): Timeline {
  const next = change(t, id, (m) => ({ ...m, delivery: 'sent', seq, created_at: createdAt }));
  return { ...next, items: next.items.slice().sort(order) };
}

/** A message may have arrived although its answer was lost: then nothing failed. */
export function fail(t: Timeline, id: string, error: string): Timeline {
  return change(t, id, (m) => (m.delivery === 'sent' ? m : { ...m, delivery: 'failed', error }));
}

export const remove = (t: Timeline, id: string): Timeline => ({ ...t, items: t.items.filter((m) => m.id !== id) });

/** What an event makes of the messages. Doing it again changes nothing. */
export function apply(t: Timeline, e: LogEvent): Timeline {
  switch (e.type) {
    case 'message':
      if (e.data.is_deleted) return remove(t, e.data.id);
      return put(t, [{ ...fromFrame(e.data), reactions: t.items.find((m) => m.id === e.data.id)?.reactions ?? [] }]);
    case 'message_updated':
      return change(t, e.message_id, (m) => ({ ...m, content: e.content, is_edited: true }));
    case 'message_deleted':
      return remove(t, e.message_id);
    case 'message_reaction':
      return change(t, e.message_id, (m) => ({ ...m, reactions: [...without(m, e), { emoji: e.emoji, user_id: e.user_id }] }));
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

/** Reactions by emoji, in the order in which each came first. */
export function grouped(m: Item): ReactionGroup[] {
  const groups = new Map<string, string[]>();
  for (const r of m.reactions) groups.set(r.emoji, [...(groups.get(r.emoji) ?? []), r.user_id]);
  return [...groups].map(([emoji, users]) => ({ emoji, users }));
}

/** The seq of the newest message that the server has. */
export function lastSeq(t: Timeline): number {
  return t.items.findLast((m) => m.delivery === 'sent')?.seq ?? 0;
}
