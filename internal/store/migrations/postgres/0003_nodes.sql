-- +goose Up
-- The nodes that share this database. beats grows while a node is alive: the others
-- check that by their own clocks.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    beats   BIGINT NOT NULL,
    version TEXT NOT NULL
);

-- What recently ended or restored a user's access, so that every node closes sockets
-- even when it was not notified.
CREATE TABLE revocations (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id TEXT NOT NULL,
    hash    BYTEA NOT NULL, -- of the log-in that was closed; all zero for the whole user
    enabled BOOLEAN NOT NULL, -- true revokes an earlier revocation of the whole user
    at      BIGINT NOT NULL
);
