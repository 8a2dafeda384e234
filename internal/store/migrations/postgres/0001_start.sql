-- +goose Up
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    email         TEXT,
    picture       TEXT,
    first_name    TEXT,
    last_name     TEXT,
    phone         TEXT,
    role          TEXT NOT NULL,
    is_admin      BOOLEAN NOT NULL,
    is_active     BOOLEAN NOT NULL,
    is_verified   BOOLEAN NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX users_name ON users (lower(name) text_pattern_ops);

CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY,
    user_id    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tickets (
    hash       BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    email      TEXT NOT NULL,
    uses       BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX tickets_expiry ON tickets (expires_at);

-- Nothing that every message changes, such as last_seq, may be indexed: an update then
-- stays within its page (a heap-only tuple), for which fillfactor leaves room.
CREATE TABLE channels (
    id              UUID PRIMARY KEY,
    name            TEXT NOT NULL,
    description     TEXT,
    channel_type    TEXT NOT NULL,
    is_private      BOOLEAN NOT NULL,
    is_archived     BOOLEAN NOT NULL,
    created_by      TEXT NOT NULL,
    tutor_id        TEXT,
    subject         TEXT,
    topic           TEXT,
    direct_key      TEXT UNIQUE,
    member_count    BIGINT NOT NULL,
    message_count   BIGINT NOT NULL,
    last_seq        BIGINT NOT NULL,
    last_message_at BIGINT NOT NULL, -- 0 before the first one
    log_floor       BIGINT NOT NULL DEFAULT 0, -- changes up to this seq may have been deleted
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE members (
    channel_id            UUID NOT NULL,
    user_id               TEXT NOT NULL,
    role                  TEXT NOT NULL,
    is_starred            BOOLEAN NOT NULL DEFAULT false,
    is_muted              BOOLEAN NOT NULL DEFAULT false,
    notifications_enabled BOOLEAN NOT NULL DEFAULT true,
    notification_level    TEXT NOT NULL DEFAULT 'all',
    joined_at             BIGINT NOT NULL,
    last_read_at          BIGINT NOT NULL, -- 0 before the first time
    last_read_seq         BIGINT NOT NULL,
    joined_seq            BIGINT NOT NULL, -- of the entry by which they joined, 0 for an initial member
    read_ordinal          BIGINT NOT NULL, -- of the newest message at or before last_read_seq
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX members_user ON members (user_id);

-- The hot table: no foreign keys, and only one unique index in addition to the primary
-- key. ordinal counts the channel's messages: unread counts are differences of it.
CREATE TABLE messages (
    channel_id           UUID NOT NULL,
    seq                  BIGINT NOT NULL,
    id                   UUID NOT NULL UNIQUE,
    ordinal              BIGINT NOT NULL,
    user_id              TEXT NOT NULL,
    content              TEXT NOT NULL,
    message_type         TEXT NOT NULL,
    parent_id            UUID,
    mentions             TEXT NOT NULL, -- user ids, comma-separated
    client_id            TEXT NOT NULL,
    body_hash            BIGINT NOT NULL, -- of the message as it was sent
    file_url             TEXT,
    file_name            TEXT,
    file_type            TEXT,
    file_size            BIGINT,
    is_edited            BOOLEAN NOT NULL DEFAULT false,
    edited_at            BIGINT NOT NULL DEFAULT 0,
    is_deleted           BOOLEAN NOT NULL DEFAULT false,
    deleted_at           BIGINT NOT NULL DEFAULT 0,
    is_pinned            BOOLEAN NOT NULL DEFAULT false,
    reaction_count       BIGINT NOT NULL DEFAULT 0,
    thread_reply_count   BIGINT NOT NULL DEFAULT 0,
    thread_last_reply_at BIGINT NOT NULL DEFAULT 0,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    PRIMARY KEY (channel_id, seq)
);
CREATE INDEX messages_parent ON messages (parent_id, seq) WHERE parent_id IS NOT NULL;
CREATE INDEX messages_deleted ON messages (channel_id, ordinal) WHERE is_deleted;

CREATE TABLE reactions (
    message_id UUID NOT NULL,
    emoji      TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
);

-- Every entry of a channel's log that is not a message.
CREATE TABLE changes (
    channel_id UUID NOT NULL,
    seq        BIGINT NOT NULL,
    id         UUID NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    at         BIGINT NOT NULL,
    payload    TEXT NOT NULL, -- JSON
    PRIMARY KEY (channel_id, seq)
);
-- For deleting old changes, see the setting retention.changes.
CREATE INDEX changes_at ON changes (at);
