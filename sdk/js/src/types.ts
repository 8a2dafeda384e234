// The nouns and frames of the wire protocol chowk.v1.

export type Role = 'owner' | 'admin' | 'member' | 'guest';
export type ChannelType = 'direct' | 'group' | 'tutor_student' | 'class' | 'subject';

export interface UserRef {
  id: string;
  name: string;
  email?: string | null;
  picture?: string | null;
}

export interface Membership {
  user_id: string;
  role: Role;
  is_starred: boolean;
  is_muted: boolean;
  unread_count: number;
  joined_at: string;
  last_read_seq: number;
}

export interface Channel {
  id: string;
  name: string;
  description: string | null;
  channel_type: ChannelType;
  is_private: boolean;
  is_archived: boolean;
  created_by: string;
  topic: string | null;
  member_count: number;
  message_count: number;
  last_message_at: string | null;
  created_at: string;
  last_seq: number;
  my_membership: Membership | null;
  unread_count: number;
}

export interface Member {
  user_id: string;
  role: Role;
  joined_at: string;
  last_read_seq: number;
  user?: UserRef;
}

export interface Reaction {
  emoji: string;
  user_id: string;
}

/** A message as REST gives it. */
export interface Message {
  id: string;
  channel_id: string;
  seq: number;
  user_id: string;
  content: string;
  message_type: string;
  parent_message_id: string | null;
  file_url: string | null;
  file_name: string | null;
  is_edited: boolean;
  is_deleted: boolean;
  created_at: string;
  reactions: Reaction[];
  user?: UserRef;
}

export interface Account {
  id: string;
  name: string;
  email: string | null;
  is_admin: boolean;
  is_verified: boolean;
}

export interface AuthConfig {
  mode: 'accounts' | 'jwt' | 'none';
  signup: 'open' | 'invite' | 'closed';
}

// What the server sends.

export interface Standing {
  id: string;
  last_seq: number;
  last_read_seq: number;
  unread_count: number;
}

export interface ConnectionFrame {
  type: 'connection';
  user_id: string;
  connection_id: string;
  epoch: string;
  durability: string;
  heartbeat_s: number;
  channels: Standing[];
  /** What a resume in the handshake will be served, by channel. */
  resumed?: Record<string, { from: number; to: number }>;
}

export interface AckFrame {
  type: 'ack';
  event: string;
  response: unknown;
  id?: string;
}

export interface ErrorFrame {
  type: 'error';
  message: string;
  code: ErrorCode;
  field?: string;
  event?: string;
  id?: string;
  /** The channels of a resume that it is about. */
  channel_ids?: string[];
  retry_after_ms?: number;
}

export interface NoticeFrame {
  type: 'notice';
  code: 'draining' | 'token_expiring';
  reconnect_after_ms?: number;
}

export interface MessageData {
  id: string;
  channel_id: string;
  seq: number;
  user_id: string;
  content: string;
  created_at: string;
  message_type: string;
  parent_message_id?: string | null;
  attachments?: { file_url: string | null; file_name: string | null }[];
  is_edited?: boolean;
  is_deleted?: boolean;
  client_id?: string;
  user?: UserRef;
}

/** An entry of a channel's log: it has a seq, and arrives in order and once. */
export type LogEvent =
  | { type: 'message'; channel_id: string; seq: number; data: MessageData; timestamp: string }
  | { type: 'message_updated'; channel_id: string; seq: number; message_id: string; user_id: string; content: string; timestamp: string }
  | { type: 'message_deleted'; channel_id: string; seq: number; message_id: string; user_id: string; timestamp: string }
  | {
      type: 'message_reaction' | 'reaction_removed';
      channel_id: string;
      seq: number;
      message_id: string;
      user_id: string;
      emoji: string;
      reaction_count: number;
      timestamp: string;
    }
  | { type: 'channel_joined' | 'channel_left' | 'channel_updated'; channel_id: string; seq: number; channel?: Channel; timestamp: string }
  | { type: 'member_joined' | 'member_left' | 'member_updated'; channel_id: string; seq: number; user_id: string; role?: Role; timestamp: string };

/** The latest state of something: it has no seq, and a newer one replaces it. */
export type StateEvent =
  | { type: 'typing'; channel_id: string; user_id: string; is_typing: boolean; timestamp: string }
  | { type: 'read_receipt'; channel_id: string; user_id: string; message_id: string | null; last_read_seq: number; timestamp: string }
  | { type: 'presence'; user_id: string; is_online: boolean; last_seen: string };

export type ServerEvent = LogEvent | StateEvent;

export type ServerFrame = ServerEvent | ConnectionFrame | AckFrame | ErrorFrame | NoticeFrame | { type: 'pong'; id?: string };

// What a client asks for, and what the acks say.

export interface SendRequest {
  channel_id: string;
  content: string;
  client_id: string;
  message_type?: string;
  parent_message_id?: string;
  mentioned_user_ids?: string[];
}

export interface SendReply {
  status: 'sent';
  message_id: string;
  seq: number;
  created_at: string;
  duplicate?: boolean;
}

export interface StatusReply {
  status: string;
  seq?: number;
}

/** Each request's data, and the response of its ack. */
export interface Requests {
  new_message: [SendRequest, SendReply];
  edit_message: [{ channel_id: string; message_id: string; content: string }, StatusReply];
  delete_message: [{ channel_id: string; message_id: string }, StatusReply];
  message_reaction: [{ channel_id: string; message_id: string; emoji: string }, StatusReply];
  remove_reaction: [{ channel_id: string; message_id: string; emoji: string }, StatusReply];
  typing: [{ channel_id: string; is_typing: boolean }, StatusReply];
  read_receipt: [{ channel_id: string; message_id?: string; seq?: number }, { status: string; last_read_seq: number; unread_count: number }];
  join_channel: [{ channel_id: string }, { status: 'joined'; channel_id: string; last_seq: number }];
  leave_channel: [{ channel_id: string }, { status: 'left'; channel_id: string }];
  resume: [{ epoch: string; cursors: Record<string, number> }, { status: 'resumed'; channels: Record<string, { from: number; to: number }> }];
  subscribe_presence: [{ user_ids?: string[]; channel_id?: string }, { status: 'subscribed'; online: string[] }];
}

export type RequestType = keyof Requests;

export type ErrorCode =
  | 'bad_json'
  | 'unknown_event'
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'too_large'
  | 'rate_limited'
  | 'overloaded'
  | 'unavailable'
  | 'resync'
  | 'internal';
