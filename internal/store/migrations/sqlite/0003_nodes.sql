-- +goose Up
-- The nodes that share this database. SQLite has at most one, but the same table as
-- PostgreSQL.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    beats   INTEGER NOT NULL,
    version TEXT NOT NULL
);

-- What recently ended or restored a user's access, so that every node closes sockets
-- even when it was not notified.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    hash    BLOB NOT NULL, -- of the log-in that was closed; all zero for the whole user
    enabled INTEGER NOT NULL, -- true revokes an earlier revocation of the whole user
    at      INTEGER NOT NULL
);
