package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// knownSQL stores messages of senders who were allowed to send before: nothing has changed
// since if rights_seq has not. The UPDATE sees the newest version of the row and locks it. It
// skips a channel in which rights have changed, and so does the INSERT.
var knownSQL = `-- name: send_known
	WITH upd AS (
		UPDATE channels c SET last_seq = c.last_seq + d.n, message_count = c.message_count + d.n,
			last_message_at = GREATEST(c.last_message_at, d.at)
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) AS d(id, n, at, rights)
		WHERE c.id = d.id AND c.rights_seq = d.rights
		RETURNING c.id, c.last_seq - d.n AS seq, c.message_count - d.n AS ordinal
	), ins AS (
		INSERT INTO messages (seq, ordinal, updated_at, ` + sentColumns.List("") + `)
		SELECT upd.seq + a.place, upd.ordinal + a.place, a.created_at, ` + sentColumns.ListCommon("a.") + `
		FROM unnest($5::bigint[], ` + sentColumns.Arrays(6) + `) AS a(place, ` + sentColumns.List("") + `)
		JOIN upd ON upd.id = a.channel_id
	)
	SELECT id, seq, ordinal FROM upd`

// sendSQL stores the messages that their senders may send, numbered without gaps. For each
// channel it returns where the numbers begin and which messages it refused.
//
// It sees everything as of one moment, before the UPDATE locks the rows of the channels. The
// last holder of such a lock may have removed a member meanwhile, and has then moved
// rights_seq as well: the UPDATE, which sees the newest version of the row, skips the channel,
// and so does the INSERT. The rows are locked in the order of their ids, as everywhere: d is
// sorted and drives the nested loop. (Another plan would risk a deadlock, after which the
// commit is repeated.)
//
// An array that is NULL is shorter than the others: unnest pads it with NULLs.
var sendSQL = `-- name: send
	WITH asked AS (
		SELECT a.*, c.rights_seq, NOT c.is_archived AND m.role = ANY($1::text[]) AS admitted
		FROM unnest(` + askedColumns.Arrays(2) + `) WITH ORDINALITY AS a(` + askedColumns.List("") + `, n)
		JOIN channels c ON c.id = a.channel_id
		LEFT JOIN members m ON m.channel_id = a.channel_id AND m.user_id = a.user_id
	), d AS (
		SELECT channel_id, rights_seq, count(*) FILTER (WHERE admitted) AS n,
			max(created_at) FILTER (WHERE admitted) AS at,
			array_agg(n) FILTER (WHERE admitted IS NOT TRUE) AS refused
		FROM asked GROUP BY channel_id, rights_seq ORDER BY channel_id
	), upd AS (
		UPDATE channels c SET last_seq = c.last_seq + d.n, message_count = c.message_count + d.n,
			last_message_at = GREATEST(c.last_message_at, d.at)
		FROM d WHERE c.id = d.channel_id AND c.rights_seq = d.rights_seq AND d.n > 0
		RETURNING c.id, c.last_seq - d.n AS seq, c.message_count - d.n AS ordinal, d.refused
	), ins AS (
		INSERT INTO messages (seq, ordinal, updated_at, ` + sentColumns.List("") + `)
		SELECT a.seq + a.place, a.ordinal + a.place, a.created_at, ` + sentColumns.ListCommon("a.") + `
		FROM (
			SELECT a.*, u.seq, u.ordinal, row_number() OVER (PARTITION BY a.channel_id ORDER BY n) AS place
			FROM unnest(` + sentColumns.Arrays(2) + `) WITH ORDINALITY AS a(` + sentColumns.List("") + `, n)
			JOIN upd u ON u.id = a.channel_id WHERE u.refused IS NULL OR n <> ALL (u.refused)
		) AS a
	)
	SELECT channel_id, d.n, COALESCE(u.seq, 0), COALESCE(u.ordinal, 0), u.id IS NOT NULL, d.rights_seq, d.refused
	FROM d LEFT JOIN upd u ON u.id = channel_id`

// together queues the statements that decide the messages and store them.
func (s *sends) together(c conn) error {
	known, asked := s.divide()
	s.storeKnown(c, known)
	s.ask(c, asked)
	s.findAuthors(c)
	return nil
}

// divide returns the places in index of messages to channels in which all their senders are
// known, and those of the others.
func (s *sends) divide() (known, asked []int) {
	s.heads = make(map[chat.ID]*sendHead, len(s.index))
	for _, i := range s.index {
		if id := s.group[i].ChannelID; s.heads[id] == nil {
			s.heads[id] = new(sendHead)
		}
	}
	s.memory.senders.known(s.heads, func(yield func(chat.ID, chat.UserID)) {
		for _, i := range s.index {
			yield(s.group[i].ChannelID, s.group[i].Actor.User)
		}
	})
	for k, i := range s.index {
		if s.heads[s.group[i].ChannelID].asked {
			asked = append(asked, k)
		} else {
			known = append(known, k)
		}
	}
	for id, head := range s.heads {
		if head.asked {
			delete(s.heads, id) // until the database has answered
		}
	}
	return known, asked
}

func (s *sends) storeKnown(c conn, known []int) {
	if len(known) == 0 {
		return
	}
	places := make([]int64, len(known))
	var ids []chat.ID
	for k, place := range known {
		change := &s.group[s.index[place]]
		head := s.heads[change.ChannelID]
		if head.admitted == 0 {
			ids = append(ids, change.ChannelID)
		}
		head.admitted++
		head.at = max(head.at, change.At)
		places[k] = head.admitted
	}
	slices.SortFunc(ids, chat.ID.Compare) // the order in which rows are locked everywhere
	n, at, rights := make([]int64, len(ids)), make([]int64, len(ids)), make([]int64, len(ids))
	for k, id := range ids {
		head := s.heads[id]
		n[k], at[k], rights[k] = head.admitted, int64(head.at), head.rights
	}
	c.Queue(knownSQL, append([]any{ids, n, at, rights, places}, s.arrays(known)...), func(r row) error {
		var id chat.ID
		var seq, ordinal int64
		err := r.Scan(&id, &seq, &ordinal)
		if head := s.heads[id]; head != nil {
			head.seq, head.ordinal, head.moved = seq, ordinal, true
		}
		return err
	})
}

func (s *sends) ask(c conn, asked []int) {
	if len(asked) == 0 {
		return
	}
	c.Queue(sendSQL, append([]any{roleNames(s.rules[state.SendMessage])}, s.arrays(asked)...), func(r row) error {
		var id chat.ID
		h := &sendHead{asked: true}
		err := r.Scan(&id, &h.admitted, &h.seq, &h.ordinal, &h.moved, &h.rights, &h.refused)
		for k, n := range h.refused {
			h.refused[k] = int64(asked[n-1]) + 1
		}
		s.heads[id] = h
		return err
	})
}

// arrays returns the columns of messages as arrays, by their places in index.
func (s *sends) arrays(places []int) []any {
	return sentColumns.ArrayValues(len(places), func(k int) *state.Change { return &s.group[s.index[places[k]]] })
}

func roleNames(set chat.Roles) []string {
	var names []string
	for _, r := range set.Names() {
		names = append(names, string(r))
	}
	return names
}
