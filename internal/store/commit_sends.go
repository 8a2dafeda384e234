package store

import (
	"github.com/chowk-chat/chowk/chat"
)

// sends are the part of a group that is nothing but new messages in channels to
// which the group does nothing else: by far the most of what is committed. The
// database decides upon them itself, in one statement behind the lock of their
// channels, so a group of them alone is one round trip.
//
// The statement has no ON CONFLICT: it would leave a hole in the seqs. An id that
// exists fails it whole, nothing is consumed, and the group is decided in memory,
// which knows how to answer duplicates.
type sends struct {
	group   []chat.Change
	index   []int // into group
	allowed chat.Roles
	heads   map[chat.ID]*sendHead
	users   map[chat.UserID]*chat.UserRef
	refused map[int]*sendRefusal // by place in index
}

// sendHead is a channel's last seq and ordinal before the group, and then during
// the count.
type sendHead struct {
	seq, ordinal int64
}

type sendRefusal struct {
	archived bool
	role     chat.Role
}

// splitSends tells new messages from the rest of a group. What belongs to one
// channel stays together, in its order.
func splitSends(group []chat.Change) (s *sends, rest []int) {
	s = &sends{group: group}
	var others map[chat.ID]bool
	for i := range group {
		if c := &group[i]; !s.plain(c) {
			if others == nil {
				others = make(map[chat.ID]bool)
			}
			others[c.ChannelID] = true
		}
	}
	s.index = make([]int, 0, len(group))
	for i := range group {
		if others[group[i].ChannelID] {
			rest = append(rest, i)
		} else {
			s.index = append(s.index, i)
		}
	}
	return s, rest
}

// plain says whether a change is a new message like the others: the same roles may
// send it, it answers to no parent, and the databases can hold its text.
func (s *sends) plain(c *chat.Change) bool {
	if c.Kind != chat.SendMessage || c.Message == nil || c.Allowed.Has(chat.Nobody) || storable(c) != nil {
		return false
	}
	m := c.Message
	if m.ParentMessageID != nil || m.IsEdited || m.IsDeleted || m.ReactionCount != 0 || m.ThreadReplyCount != 0 || m.ThreadLastReplyAt != nil ||
		m.EditedAt != nil || m.DeletedAt != nil {
		return false
	}
	if s.allowed == 0 {
		s.allowed = c.Allowed
	}
	return c.Allowed == s.allowed && c.Allowed != 0
}

// channels lists the channels concerned, each once.
func (s *sends) channels() []chat.ID {
	s.heads = make(map[chat.ID]*sendHead, len(s.index))
	ids := make([]chat.ID, 0, len(s.index))
	for _, i := range s.index {
		id := s.group[i].ChannelID
		if _, known := s.heads[id]; !known {
			s.heads[id] = nil
			ids = append(ids, id)
		}
	}
	return ids
}

// lock queues the lock on the channels, in the order of their ids, as everybody
// locks them. What comes after it sees what the last holders of the locks left:
// each statement has a snapshot of its own.
func (s *sends) lock(c conn) {
	c.queue(`-- name: send_lock
		SELECT id, last_seq, message_count FROM channels WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, []any{s.channels()}, func(r row) error {
		var id chat.ID
		h := new(sendHead)
		err := r.scan(&id, &h.seq, &h.ordinal)
		s.heads[id] = h
		return err
	})
}

// locked takes over the channels that the rest of the group has locked.
func (s *sends) locked(channels map[chat.ID]*channelRow) {
	for _, id := range s.channels() {
		if ch := channels[id]; ch != nil {
			s.heads[id] = &sendHead{ch.LastSeq, ch.MessageCount}
		}
	}
}

// sendSQL inserts those messages whose senders may send them, numbered without
// holes, moves their channels' heads, and returns those that are refused. An array
// that is NULL is shorter than the others: unnest fills it up with NULLs.
const sendSQL = `-- name: send
	WITH asked AS (
		SELECT a.*, c.is_archived, c.last_seq, c.message_count, m.role, COALESCE(NOT c.is_archived AND m.role = ANY($14::text[]), false) AS admitted
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[],
				$10::text[], $11::text[], $12::text[], $13::bigint[])
			WITH ORDINALITY AS a(channel_id, id, user_id, content, client_id, body_hash, at, kind, mentions, file_url, file_name, file_type, file_size, n)
		LEFT JOIN channels c ON c.id = a.channel_id
		LEFT JOIN members m ON m.channel_id = a.channel_id AND m.user_id = a.user_id
	), ins AS (
		INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, mentions, client_id, body_hash,
			file_url, file_name, file_type, file_size, created_at, updated_at)
		SELECT channel_id, last_seq + place, id, message_count + place, user_id, content, COALESCE(kind, 'text'), COALESCE(mentions, ''), client_id, body_hash,
			file_url, file_name, file_type, file_size, at, at
		FROM (SELECT asked.*, row_number() OVER (PARTITION BY channel_id ORDER BY n) AS place FROM asked WHERE admitted) AS numbered
	), upd AS (
		UPDATE channels c SET last_seq = c.last_seq + d.n, message_count = c.message_count + d.n, last_message_at = GREATEST(c.last_message_at, d.at)
		FROM (SELECT channel_id, count(*) AS n, max(at) AS at FROM asked WHERE admitted GROUP BY channel_id) AS d WHERE c.id = d.channel_id
	)
	SELECT n, is_archived, COALESCE(role, '') FROM asked WHERE NOT admitted AND is_archived IS NOT NULL`

// insert queues what decides upon the messages and stores them.
func (s *sends) insert(c conn) {
	s.refused = nil
	c.queue(sendSQL, s.arrays(), func(r row) error {
		var n int64
		var refusal sendRefusal
		err := r.scan(&n, &refusal.archived, (*string)(&refusal.role))
		if s.refused == nil {
			s.refused = make(map[int]*sendRefusal)
		}
		s.refused[int(n)-1] = &refusal
		return err
	})
	s.users = make(map[chat.UserID]*chat.UserRef, len(s.index))
	authors := make([]chat.UserID, 0, len(s.index))
	for _, i := range s.index {
		id := s.group[i].Actor
		if _, known := s.users[id]; !known {
			s.users[id] = nil
			authors = append(authors, id)
		}
	}
	c.queue(`-- name: send_authors
		SELECT id, name, picture FROM users WHERE id = ANY($1)`, []any{authors}, func(r row) error {
		var u chat.User
		err := r.scan(&u.ID, &u.Name, &u.Picture)
		s.users[u.ID] = u.Ref(false)
		return err
	})
}

func (s *sends) arrays() []any {
	n := len(s.index)
	var (
		channels, ids              = make([]chat.ID, n), make([]chat.ID, n)
		users                      = make([]chat.UserID, n)
		contents, clients          = make([]string, n), make([]string, n)
		hashes, at                 = make([]int64, n), make([]int64, n)
		kinds, mentioned           []*string // NULL while all are as most are
		urls, names, types         []*string
		sizes                      []*int64
		anyKind, anyMention, files bool
	)
	for k, i := range s.index {
		c := &s.group[i]
		m := c.Message
		channels[k], ids[k], users[k], contents[k], clients[k] = c.ChannelID, c.ID, c.Actor, m.Content, m.ClientID
		hashes[k], at[k] = m.BodyHash(), int64(c.At)
		anyKind = anyKind || m.MessageType != chat.Text
		anyMention = anyMention || len(m.MentionedUserIDs) > 0
		files = files || !m.FileInfo.IsZero()
	}
	for _, i := range s.index {
		m := s.group[i].Message
		if anyKind {
			kinds = append(kinds, (*string)(&m.MessageType))
		}
		if anyMention {
			text := mentions(m)
			mentioned = append(mentioned, &text)
		}
		if files {
			urls, names, types, sizes = append(urls, m.FileURL), append(names, m.FileName), append(types, m.FileType), append(sizes, m.FileSize)
		}
	}
	return []any{channels, ids, users, contents, clients, hashes, at, kinds, mentioned, urls, names, types, sizes, roleNames(s.allowed)}
}

func roleNames(set chat.Roles) []string {
	var names []string
	for _, r := range set.Names() {
		names = append(names, string(r))
	}
	return names
}

// outcomes tells what became of each, as the statement numbered them.
func (s *sends) outcomes(into []chat.Outcome) {
	for k, i := range s.index {
		c := &s.group[i]
		head, refused := s.heads[c.ChannelID], s.refused[k]
		if head == nil {
			into[i] = chat.Outcome{Err: chat.ErrAccessDenied}
			continue
		}
		if refused != nil {
			into[i] = chat.Outcome{Err: refusal(c, refused.archived, refused.role, false)}
			continue
		}
		head.seq++
		head.ordinal++
		into[i] = sent(c, head.seq, head.ordinal, s.users[c.Actor])
	}
}
