package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// What a group loads before it is decided.
var (
	commitChannels = "-- name: commit_channels\nSELECT " + channelColumns.List("c.") + `
		FROM channels c WHERE c.id = ANY($1)`
	commitUsers   = "-- name: commit_users\nSELECT " + userColumns.List("u.") + " FROM users u " + usersByID
	commitAuthors = "-- name: commit_authors\nSELECT " + userColumns.List("u.") + `
		FROM users u WHERE u.id IN (SELECT user_id FROM messages WHERE id = ANY($1))`
	commitMessages = "-- name: commit_messages\nSELECT " + storedColumns.List("m.") + `
		FROM messages m WHERE m.id = ANY($1)`
	// A deleted reply is subtracted from its parent's count.
	commitParents = "-- name: commit_parents\nSELECT " + storedColumns.List("m.") + ` FROM messages m
		WHERE m.id IN (SELECT parent_id FROM messages WHERE id = ANY($1) AND parent_id IS NOT NULL)`
	commitRepeated = "-- name: commit_repeated\nSELECT " + changeColumns.List("") + " FROM changes WHERE id = ANY($1)"
	commitDirects  = "-- name: commit_directs\nSELECT " + channelColumns.List("c.") + `, c.direct_key
		FROM channels c WHERE c.direct_key = ANY($1)`
	commitPins = `-- name: commit_pins
		SELECT channel_id, count(*) FROM messages WHERE channel_id = ANY($1) AND is_pinned GROUP BY channel_id`
	commitRole  = "-- name: commit_role\n" + selectRoles + " WHERE m.channel_id = $1 AND m.user_id = $2"
	commitRoles = "-- name: commit_roles\n" + selectRoles + `
		JOIN unnest($1::uuid[], $2::text[]) AS p(channel_id, user_id)
			ON m.channel_id = p.channel_id AND m.user_id = p.user_id`
)

var selectRoles = "SELECT " + memberKey.List("m.") + ", m.role FROM members m"

// loader loads the rows that a group needs.
type loader struct {
	c conn
	n state.Needs
	*state.Rows
}

// load loads the rows that the group needs, after locking its channels in the order of their
// ids, so that two nodes never wait for each other in a circle. What is read after the lock is
// what its last holder left: a member who was removed a moment ago no longer is one.
//
// also are channels of new messages that the database decides; they are locked as well.
func load(c conn, d *dialect, g *state.Group, also []chat.ID) error {
	l := loader{c, g.Needs(), &g.Rows}
	if len(also) > 0 {
		l.n.Channels = append(l.n.Channels, also...)
		slices.SortFunc(l.n.Channels, chat.ID.Compare)
		l.n.Channels = slices.Compact(l.n.Channels)
	}
	c.Queue(commitChannels+d.lockChannels, []any{l.n.Channels}, func(r row) error {
		ch := new(state.Channel)
		err := channelColumns.Scan(r, &ch.Channel)
		l.Channels[ch.ID] = ch
		return err
	})
	d.loadRoles(l)
	user := userColumns.All(func(u *chat.User) { l.Users[u.ID] = u })
	c.Queue(commitUsers, []any{l.n.Users}, user)
	if ids := []any{l.n.Messages}; len(l.n.Messages) > 0 {
		c.Queue(commitAuthors, ids, user)
		c.Queue(commitMessages, ids, l.message)
		c.Queue(commitParents, ids, l.message)
	}
	if len(l.n.Reactions) > 0 {
		l.reactions()
	}
	if len(l.n.Changes) > 0 {
		c.Queue(commitRepeated, []any{l.n.Changes}, l.change)
	}
	if len(l.n.Owners) > 0 {
		l.owners()
	}
	if len(l.n.Pins) > 0 {
		c.Queue(commitPins, []any{l.n.Pins}, scanHead(func(id chat.ID, n int64) { l.Pins[id] = n }))
	}
	if len(l.n.Directs) > 0 {
		c.Queue(commitDirects, []any{l.n.Directs}, l.direct)
	}
	return c.Flush()
}

// message keeps the first of a message's rows: it may be loaded as a parent as well.
func (l loader) message(r row) error {
	m := new(state.Message)
	err := storedColumns.Scan(r, m)
	if l.Messages[m.ID] != nil {
		return err
	}
	m.Reactions = []chat.Reaction{}
	if u := l.Users[m.UserID]; u != nil {
		m.User = u.Ref(false)
	}
	l.Messages[m.ID] = m
	return err
}

func (l loader) change(r row) error {
	n := state.NewEntry{Entry: new(chat.Entry)}
	err := changeColumns.Scan(r, &n)
	l.Committed[n.ChangeID] = n.Entry
	return err
}

func (l loader) direct(r row) error {
	ch, key := new(state.Channel), ""
	err := channelColumns.Scan(r, &ch.Channel, &key)
	l.Directs[key] = ch.ID
	l.Channels[ch.ID] = ch
	return err
}

func (l loader) reactions() {
	l.c.Queue(`-- name: commit_emojis
		SELECT message_id, emoji, count(*) FROM reactions WHERE message_id = ANY($1) GROUP BY message_id, emoji`,
		[]any{l.n.Reactions}, func(r row) error {
			var id chat.ID
			var emoji string
			var n int64
			err := r.Scan(&id, &emoji, &n)
			if l.Emoji[id] == nil {
				l.Emoji[id] = make(map[string]int64)
			}
			l.Emoji[id][emoji] = n
			return err
		})
	l.c.Queue(`-- name: commit_reactions
		SELECT message_id, emoji, user_id FROM reactions WHERE message_id = ANY($1) AND user_id = ANY($2)`,
		[]any{l.n.Reactions, l.n.Users},
		reactionKey.All(func(k *state.Reaction) { l.Reactions[*k] = true }))
}

func (l loader) owners() {
	l.c.Queue(`-- name: commit_owners
		SELECT channel_id, count(*) FROM members WHERE channel_id = ANY($1) AND role = 'owner' GROUP BY channel_id`,
		[]any{l.n.Owners}, scanHead(func(id chat.ID, n int64) { l.Owners[id] = n }))
}

func (l loader) role(r row) error {
	var k state.Membership
	var role string
	err := memberKey.Scan(r, &k, &role)
	l.Roles[k] = chat.Role(role)
	return err
}

// rolesTogether loads roles with one statement, for PostgreSQL.
func (l loader) rolesTogether() {
	channels, users := make([]chat.ID, len(l.n.Memberships)), make([]chat.UserID, len(l.n.Memberships))
	for i, m := range l.n.Memberships {
		channels[i], users[i] = m.ChannelID, m.UserID
	}
	l.c.Queue(commitRoles, []any{channels, users}, l.role)
}

// eachRole loads roles one by one, for SQLite.
func (l loader) eachRole() {
	queued := make(map[state.Membership]bool, len(l.n.Memberships))
	for _, m := range l.n.Memberships {
		if !queued[m] {
			queued[m] = true
			l.c.Queue(commitRole, []any{m.ChannelID, m.UserID}, l.role)
		}
	}
}
