import type { Channel, LogEvent, Member, ServerEvent } from '@chowk/client';

/** The user's channels, newest activity first. */
export type Channels = Channel[];

const activity = (c: Channel): string => c.last_message_at ?? c.created_at;

export function sorted(channels: Channels): Channels {
  return channels
    .filter((c) => !c.is_archived)
    .sort((a, b) => (activity(a) < activity(b) ? 1 : activity(a) > activity(b) ? -1 : 0));
}

export function patch(channels: Channels, id: string, f: (c: Channel) => Channel): Channels {
  return channels.map((c) => (c.id === id ? f(c) : c));
}

/** The unread count is said in two places; both are kept. */
export function withUnread(c: Channel, unread: number, lastRead?: number): Channel {
  const mine = c.my_membership;
  return {
    ...c,
    unread_count: unread,
    my_membership: mine && { ...mine, unread_count: unread, last_read_seq: lastRead ?? mine.last_read_seq },
  };
}

export const upsert = (channels: Channels, c: Channel): Channels => sorted([c, ...channels.filter((x) => x.id !== c.id)]);

/**
 * What an event makes of the list. A channel that it does not know is somebody else's
 * business to load, and what is in the list already is not counted again.
 */
export function applyToChannels(channels: Channels, e: ServerEvent, me: string): Channels {
  if (e.type === 'read_receipt') {
    if (e.user_id !== me) return channels;
    return patch(channels, e.channel_id, (c) => (e.last_read_seq >= c.last_seq ? withUnread(c, 0, e.last_read_seq) : c));
  }
  if (!('seq' in e)) return channels;
  const old = channels.find((c) => c.id === e.channel_id);
  if (!old || e.seq <= old.last_seq) return channels;
  if (e.type === 'channel_left') return channels.filter((c) => c !== old);
  return sorted(channels.map((c) => (c === old ? after({ ...c, last_seq: e.seq }, e, me) : c)));
}

function after(c: Channel, e: LogEvent, me: string): Channel {
  switch (e.type) {
    case 'message': {
      const next = { ...c, last_message_at: e.data.created_at };
      // Whoever writes has read.
      return e.data.user_id === me ? withUnread(next, 0, e.seq) : withUnread(next, c.unread_count + 1);
    }
    case 'channel_updated': {
      const { name, description, topic, is_archived } = e.channel ?? c;
      return { ...c, name, description, topic, is_archived };
    }
    case 'member_joined':
      return { ...c, member_count: c.member_count + 1 };
    case 'member_left':
      return { ...c, member_count: Math.max(0, c.member_count - 1) };
    default:
      return c;
  }
}

/** What an event makes of the members of the channel that is open. */
export function applyToMembers(members: Member[], e: ServerEvent): Member[] {
  switch (e.type) {
    case 'member_joined':
      if (members.some((m) => m.user_id === e.user_id)) return members;
      return [...members, { user_id: e.user_id, role: e.role ?? 'member', joined_at: e.timestamp, last_read_seq: 0 }];
    case 'member_left':
      return members.filter((m) => m.user_id !== e.user_id);
    case 'member_updated':
      return members.map((m) => (m.user_id === e.user_id ? { ...m, role: e.role ?? m.role } : m));
    case 'read_receipt':
      return seen(members, e.user_id, e.last_read_seq);
    case 'message': // whoever writes has read
      return seen(members, e.data.user_id, e.seq);
    default:
      return members;
  }
}

const seen = (members: Member[], user: string, seq: number): Member[] =>
  members.map((m) => (m.user_id === user && m.last_read_seq < seq ? { ...m, last_read_seq: seq } : m));

/** The other user of a direct channel, whose name the server makes of both ids. */
export function otherOf(c: Channel, me: string): string | undefined {
  if (c.channel_type !== 'direct') return undefined;
  const pair = c.name.replace(/^DM-/, '');
  if (pair.startsWith(`${me}-`)) return pair.slice(me.length + 1);
  if (pair.endsWith(`-${me}`)) return pair.slice(0, -me.length - 1);
  return c.created_by === me ? undefined : c.created_by;
}

export const manages = (c: Channel | undefined): boolean => ['owner', 'admin'].includes(c?.my_membership?.role ?? '');
