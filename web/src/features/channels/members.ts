import type { Member, ServerEvent } from '@chowk/client';

/** Applies an event to the members of its channel. Returns a new list, or the same one if nothing changes. */
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
      return withRead(members, e.user_id, e.last_read_seq);
    case 'message': // sending a message marks the channel as read
      return withRead(members, e.data.user_id, e.seq);
    default:
      return members;
  }
}

function withRead(members: Member[], user: string, seq: number): Member[] {
  if (!members.some((m) => m.user_id === user && m.last_read_seq < seq)) return members;
  return members.map((m) => (m.user_id === user ? { ...m, last_read_seq: seq } : m));
}
