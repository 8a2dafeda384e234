package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
)

// sends are the part of a group that is nothing but new messages in channels to
// which the group does nothing else: by far the most of what is committed. The
// database decides upon them itself, in one statement, so a group of them alone is
// one round trip.
//
// The statement has no ON CONFLICT: it would leave a hole in the seqs. An id that
// exists fails it whole, nothing is consumed, and the group is decided in memory,
// which knows how to answer duplicates.
type sends struct {
	group   []chat.Change
	index   []int // into group
	allowed chat.Roles
	heads   map[chat.ID]*sendHead // of channels that exist
	authors *authors
	users   map[chat.UserID]*chat.UserRef
	found   []*chat.UserRef // users that authors did not know
}

// sendHead is what the statement says of a channel.
type sendHead struct {
	admitted     int64 // messages that may be sent
	seq, ordinal int64 // before the first of them, and then during the count
	// moved is false when the channel's rights changed while the statement waited
	// for its row, so that nothing was stored and it must be decided again.
	moved    bool
	archived bool      // SQLite's own look
	at       chat.Time // of the newest message, SQLite's own count
	refused  []int64   // places in index, from 1
}

// splitSends tells new messages from the rest of a group. What belongs to one
// channel stays together, in its order.
func splitSends(group []chat.Change, authors *authors) (s *sends, rest []int) {
	s = &sends{group: group, authors: authors}
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

// channels lists the channels concerned.
func (s *sends) channels() []chat.ID {
	ids := make([]chat.ID, len(s.index))
	for k, i := range s.index {
		ids[k] = s.group[i].ChannelID
	}
	return ids
}

// sendSQL stores those messages whose senders may send them, numbered without
// holes, and says of each channel where it begins and which it refused.
//
// Everything is seen as of one moment, before the rows of the channels are locked
// by the UPDATE. Whoever held such a row may meanwhile have removed a member; then
// he has moved rights_seq as well, the UPDATE, which looks at the newest version of
// the row, passes over the channel, and so does the INSERT. The rows are locked in
// the order of their ids, as everybody locks them: d is sorted and drives the
// nested loop. (Another plan would risk a deadlock, which is tried again.)
//
// An array that is NULL is shorter than the others: unnest fills it up.
const sendSQL = `-- name: send
	WITH asked AS (
		SELECT a.*, c.rights_seq, NOT c.is_archived AND m.role = ANY($14::text[]) AS admitted
		FROM unnest($1::uuid[], $3::text[], $7::bigint[]) WITH ORDINALITY AS a(channel_id, user_id, at, n)
		JOIN channels c ON c.id = a.channel_id
		LEFT JOIN members m ON m.channel_id = a.channel_id AND m.user_id = a.user_id
	), d AS (
		SELECT channel_id, rights_seq, count(*) FILTER (WHERE admitted) AS n, max(at) FILTER (WHERE admitted) AS at,
			array_agg(n) FILTER (WHERE admitted IS NOT TRUE) AS refused
		FROM asked GROUP BY channel_id, rights_seq ORDER BY channel_id
	), upd AS (
		UPDATE channels c SET last_seq = c.last_seq + d.n, message_count = c.message_count + d.n, last_message_at = GREATEST(c.last_message_at, d.at)
		FROM d WHERE c.id = d.channel_id AND c.rights_seq = d.rights_seq AND d.n > 0
		RETURNING c.id, c.last_seq - d.n AS seq, c.message_count - d.n AS ordinal, d.refused
	), ins AS (
		INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, mentions, client_id, body_hash,
			file_url, file_name, file_type, file_size, created_at, updated_at)
		SELECT channel_id, seq + place, id, ordinal + place, user_id, content, COALESCE(kind, 'text'), COALESCE(mentions, ''), client_id, body_hash,
			file_url, file_name, file_type, file_size, at, at
		FROM (
			SELECT a.*, u.seq, u.ordinal, row_number() OVER (PARTITION BY a.channel_id ORDER BY n) AS place
			FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[],
					$10::text[], $11::text[], $12::text[], $13::bigint[])
				WITH ORDINALITY AS a(channel_id, id, user_id, content, client_id, body_hash, at, kind, mentions, file_url, file_name, file_type, file_size, n)
			JOIN upd u ON u.id = a.channel_id WHERE u.refused IS NULL OR n <> ALL (u.refused)
		) AS numbered
	)
	SELECT channel_id, d.n, COALESCE(u.seq, 0), COALESCE(u.ordinal, 0), u.id IS NOT NULL, d.refused FROM d LEFT JOIN upd u ON u.id = channel_id`

// together queues the one statement that decides upon the messages and stores
// them.
func (s *sends) together(c conn) error {
	s.heads = make(map[chat.ID]*sendHead, len(s.index))
	c.queue(sendSQL, s.arrays(), func(r row) error {
		var id chat.ID
		h := new(sendHead)
		err := r.scan(&id, &h.admitted, &h.seq, &h.ordinal, &h.moved, &h.refused)
		s.heads[id] = h
		return err
	})
	s.findAuthors(c)
	return nil
}

func (s *sends) findAuthors(c conn) {
	s.users = make(map[chat.UserID]*chat.UserRef, len(s.index))
	for _, i := range s.index {
		s.users[s.group[i].Actor] = nil
	}
	unknown := s.authors.fill(s.users)
	if len(unknown) == 0 {
		return
	}
	c.queue(`-- name: send_authors
		SELECT id, name, picture FROM users WHERE id = ANY($1)`, []any{unknown}, func(r row) error {
		var u chat.User
		err := r.scan(&u.ID, &u.Name, &u.Picture)
		s.users[u.ID] = u.Ref(false)
		s.found = append(s.found, s.users[u.ID])
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

// outcomes tells what became of each, as the statement numbered them, and which
// must be decided again.
func (s *sends) outcomes(into []chat.Outcome) (again []int) {
	s.authors.remember(s.found)
	for k, i := range s.index {
		c := &s.group[i]
		head := s.heads[c.ChannelID]
		switch {
		case head == nil:
			into[i].Err = chat.ErrAccessDenied
		case head.admitted > 0 && !head.moved, slices.Contains(head.refused, int64(k+1)):
			// Whoever may not send now may repeat what he sent when he might: only a look
			// at what is stored tells.
			again = append(again, i)
		default:
			head.seq++
			head.ordinal++
			into[i] = sent(c, head.seq, head.ordinal, s.users[c.Actor])
		}
	}
	return again
}
