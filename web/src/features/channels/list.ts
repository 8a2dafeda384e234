import type { Channel, LogEvent, ServerEvent } from '@chowk/client';

// How events change the list of the user's channels. The functions return a new list and leave theirs unchanged.

const lastActivity = (c: Channel): string => c.last_message_at ?? c.created_at;

/** Returns the channels that are not archived, the one with the latest activity first. */
export function sorted(channels: Channel[]): Channel[] {
  return channels
    .filter((c) => !c.is_archived)
    .sort((a, b) => (lastActivity(a) < lastActivity(b) ? 1 : lastActivity(a) > lastActivity(b) ? -1 : 0));
}

/** Replaces one channel. */
export function patch(channels: Channel[], id: string, f: (c: Channel) => Channel): Channel[] {
  return channels.map((c) => (c.id === id ? f(c) : c));
}

/** Adds or replaces a channel. */
export function upsert(channels: Channel[], c: Channel): Channel[] {
  return sorted([c, ...channels.filter((x) => x.id !== c.id)]);
}

/** Sets the unread count, which the API has in the channel and in the membership. */
export function withUnread(c: Channel, unread: number, lastRead?: number): Channel {
  const membership = c.my_membership;
  const last_read_seq = lastRead ?? membership?.last_read_seq ?? 0;
  return {
    ...c,
    unread_count: unread,
    my_membership: membership && { ...membership, unread_count: unread, last_read_seq },
  };
}

/**
 * Applies an event. Events of channels that are not in the list change nothing, and neither do entries that the channel
 * already includes.
 */
export function applyToList(channels: Channel[], e: ServerEvent, me: string): Channel[] {
  if (e.type === 'read_receipt') {
    if (e.user_id !== me) return channels;
    const read = (c: Channel) => (e.last_read_seq >= c.last_seq ? withUnread(c, 0, e.last_read_seq) : c);
    return patch(channels, e.channel_id, read);
  }
  if (!('seq' in e)) return channels;
  const old = channels.find((c) => c.id === e.channel_id);
  if (!old || e.seq <= old.last_seq) return channels;
  if (e.type === 'channel_left') return channels.filter((c) => c !== old);
  return sorted(channels.map((c) => (c === old ? applyToChannel({ ...c, last_seq: e.seq }, e, me) : c)));
}

function applyToChannel(c: Channel, e: LogEvent, me: string): Channel {
  switch (e.type) {
    case 'message': {
      const next = { ...c, last_message_at: e.data.created_at };
      // Sending a message marks the channel as read.
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

/** Reports whether the user may manage a channel: change it, add members and delete messages of others. */
export const manages = (c: Channel): boolean => ['owner', 'admin'].includes(c.my_membership?.role ?? '');
