-- +goose Up
-- Who shares this database. beats counts on while a node lives: others look whether
-- it does, by their own clocks.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    beats   BIGINT NOT NULL,
    version TEXT NOT NULL
);

-- What ended or resumed some user's access a while ago, so that every node closes
-- sockets even when nobody tells it to.
CREATE TABLE revocations (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id TEXT NOT NULL,
    hash    BYTEA NOT NULL, -- of the session that was closed; all zero for all that the user has
    enabled BOOLEAN NOT NULL, -- true takes back an earlier one of the whole user
    at      BIGINT NOT NULL
);
