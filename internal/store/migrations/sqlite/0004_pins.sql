-- +goose Up
CREATE INDEX messages_pinned ON messages (channel_id, seq) WHERE is_pinned;
