-- +goose Up
-- Who shares this database: with SQLite nobody but one. It is here because
-- PostgreSQL has it.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    beats   INTEGER NOT NULL,
    version TEXT NOT NULL
);

-- What ended or resumed some user's access a while ago, so that every node closes
-- sockets even when nobody tells it to.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    hash    BLOB NOT NULL, -- of the session that was closed; all zero for all that the user has
    enabled INTEGER NOT NULL, -- true takes back an earlier one of the whole user
    at      INTEGER NOT NULL
);
