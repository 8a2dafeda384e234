// Messages, events and channels for tests, with the fields that the page uses.
import type { Channel, LogEvent, Message } from '@chowk/client';

export const timestamp = '2026-01-02T15:04:05Z';
export const ada = { id: 'ada', name: 'Ada' };

/** A message of bob, as REST returns it. Its id is m and its seq. */
export const message = (seq: number, more: Partial<Message> = {}) =>
  ({
    id: `m${seq}`,
    channel_id: 'c',
    seq,
    user_id: 'bob',
    content: `text ${seq}`,
    message_type: 'text',
    parent_message_id: null,
    file_url: null,
    file_name: null,
    is_edited: false,
    is_deleted: false,
    created_at: timestamp,
    reactions: [],
    ...more,
  }) as Message;

/** The event of a message of bob. */
export const sent = (seq: number, more: object = {}): LogEvent => ({
  type: 'message',
  channel_id: 'c',
  seq,
  timestamp,
  data: {
    id: `m${seq}`,
    channel_id: 'c',
    seq,
    user_id: 'bob',
    content: `text ${seq}`,
    created_at: timestamp,
    message_type: 'text',
    ...more,
  },
});

export const reaction = (type: 'message_reaction' | 'reaction_removed', user_id: string): LogEvent => ({
  type,
  channel_id: 'c',
  seq: 9,
  message_id: 'm1',
  user_id,
  emoji: '🎉',
  reaction_count: 1,
  timestamp,
});

/** A channel that ada owns and has read. */
export const channel = (id: string, more: Partial<Channel> = {}) =>
  ({
    id,
    name: id,
    description: null,
    channel_type: 'group',
    is_private: false,
    is_archived: false,
    created_by: 'ada',
    topic: null,
    member_count: 2,
    message_count: 0,
    last_message_at: null,
    created_at: timestamp,
    last_seq: 1,
    unread_count: 0,
    my_membership: {
      user_id: 'ada',
      role: 'owner',
      is_starred: false,
      is_muted: false,
      unread_count: 0,
      joined_at: timestamp,
      last_read_seq: 1,
    },
    ...more,
  }) as Channel;
