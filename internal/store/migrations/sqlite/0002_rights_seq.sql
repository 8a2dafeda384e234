-- +goose Up
-- The seq of the last entry that may have changed who may write here. A decision that
-- was based on an older one is made again.
ALTER TABLE channels ADD COLUMN rights_seq INTEGER NOT NULL DEFAULT 0;
