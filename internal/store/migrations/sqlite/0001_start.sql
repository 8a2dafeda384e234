-- +goose Up
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
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
    is_admin      INTEGER NOT NULL,
    is_active     INTEGER NOT NULL,
    is_verified   INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX users_name ON users (lower(name));

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tickets (
    hash       BLOB PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    email      TEXT NOT NULL,
    uses       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX tickets_expiry ON tickets (expires_at);

CREATE TABLE channels (
    id              BLOB PRIMARY KEY,
    name            TEXT NOT NULL,
    description     TEXT,
    channel_type    TEXT NOT NULL,
    is_private      INTEGER NOT NULL,
    is_archived     INTEGER NOT NULL,
    created_by      TEXT NOT NULL,
    tutor_id        TEXT,
    subject         TEXT,
    topic           TEXT,
    direct_key      TEXT UNIQUE,
    member_count    INTEGER NOT NULL,
    message_count   INTEGER NOT NULL,
    last_seq        INTEGER NOT NULL,
    last_message_at INTEGER NOT NULL, -- 0 before the first one
    log_floor       INTEGER NOT NULL DEFAULT 0, -- changes up to this seq may have been deleted
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);

CREATE TABLE members (
    channel_id            BLOB NOT NULL,
    user_id               TEXT NOT NULL,
    role                  TEXT NOT NULL,
    is_starred            INTEGER NOT NULL DEFAULT 0,
    is_muted              INTEGER NOT NULL DEFAULT 0,
    notifications_enabled INTEGER NOT NULL DEFAULT 1,
    notification_level    TEXT NOT NULL DEFAULT 'all',
    joined_at             INTEGER NOT NULL,
    last_read_at          INTEGER NOT NULL, -- 0 before the first time
    last_read_seq         INTEGER NOT NULL,
    joined_seq            INTEGER NOT NULL, -- of the entry by which they joined, 0 for an initial member
    read_ordinal          INTEGER NOT NULL, -- of the newest message at or before last_read_seq
    PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

-- The hot table: no foreign keys, and only one unique index in addition to the primary
-- key. ordinal counts the channel's messages: unread counts are differences of it.
CREATE TABLE messages (
    channel_id           BLOB NOT NULL,
    seq                  INTEGER NOT NULL,
    id                   BLOB NOT NULL UNIQUE,
    ordinal              INTEGER NOT NULL,
    user_id              TEXT NOT NULL,
    content              TEXT NOT NULL,
    message_type         TEXT NOT NULL,
    parent_id            BLOB,
    mentions             TEXT NOT NULL, -- user ids, comma-separated
    client_id            TEXT NOT NULL,
    body_hash            INTEGER NOT NULL, -- of the message as it was sent
    file_url             TEXT,
    file_name            TEXT,
    file_type            TEXT,
    file_size            INTEGER,
    is_edited            INTEGER NOT NULL DEFAULT 0,
    edited_at            INTEGER NOT NULL DEFAULT 0,
    is_deleted           INTEGER NOT NULL DEFAULT 0,
    deleted_at           INTEGER NOT NULL DEFAULT 0,
    is_pinned            INTEGER NOT NULL DEFAULT 0,
    reaction_count       INTEGER NOT NULL DEFAULT 0,
    thread_reply_count   INTEGER NOT NULL DEFAULT 0,
    thread_last_reply_at INTEGER NOT NULL DEFAULT 0,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    PRIMARY KEY (channel_id, seq)
);
CREATE INDEX messages_parent ON messages (parent_id, seq) WHERE parent_id IS NOT NULL;
CREATE INDEX messages_deleted ON messages (channel_id, ordinal) WHERE is_deleted;

CREATE TABLE reactions (
    message_id BLOB NOT NULL,
    emoji      TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
);

-- Every entry of a channel's log that is not a message.
CREATE TABLE changes (
    channel_id BLOB NOT NULL,
    seq        INTEGER NOT NULL,
    id         BLOB NOT NULL UNIQUE,
    type       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    payload    TEXT NOT NULL, -- JSON
    PRIMARY KEY (channel_id, seq)
);
-- For deleting old changes, see the setting retention.changes.
CREATE INDEX changes_at ON changes (at);
