-- +goose Up
-- The seq of the last entry that may have changed who may write here. What was
-- decided upon an older view of the members is decided again.
ALTER TABLE channels ADD COLUMN rights_seq BIGINT NOT NULL DEFAULT 0;
