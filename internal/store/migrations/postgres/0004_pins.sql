-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS messages_pinned ON messages (channel_id, seq) WHERE is_pinned;
