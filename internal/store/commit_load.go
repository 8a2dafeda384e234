package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

const channelColumns = `c.id, c.name, c.description, c.channel_type, c.is_private, c.is_archived, c.created_by,
	c.tutor_id, c.subject, c.topic, c.member_count, c.message_count, c.last_seq, c.last_message_at,
	c.created_at, c.updated_at`

func channelInto(ch *chat.Channel, lastMessage *chat.Time) []any {
	return []any{
		&ch.ID, &ch.Name, &ch.Description, (*string)(&ch.ChannelType), &ch.IsPrivate, &ch.IsArchived, &ch.CreatedBy,
		&ch.TutorID, &ch.Subject, &ch.Topic, &ch.MemberCount, &ch.MessageCount, &ch.LastSeq, lastMessage,
		&ch.CreatedAt, &ch.UpdatedAt,
	}
}

const userColumns = `u.id, u.name, u.email, u.picture, u.first_name, u.last_name, u.phone, u.role, u.is_admin,
	u.is_active, u.is_verified, u.created_at`

func userInto(u *chat.User) []any {
	return []any{
		&u.ID, &u.Name, &u.Email, &u.Picture, &u.FirstName, &u.LastName, &u.Phone, &u.Role, &u.IsAdmin,
		&u.IsActive, &u.IsVerified, &u.CreatedAt,
	}
}

// loader loads the rows that a group needs.
type loader struct {
	c conn
	d *dialect
	n state.Needs
	*state.Rows
}

// load loads the rows that the group needs, after locking its channels in the order of their
// ids, so that two nodes never wait for each other in a circle. What is read after the lock is
// what its last holder left: a member who was removed a moment ago no longer is one.
//
// also are channels of new messages that the database decides; they are locked as well.
func load(c conn, d *dialect, g *state.Group, also []chat.ID) error {
	l := loader{c, d, g.Needs(), &g.Rows}
	if len(also) > 0 {
		l.n.Channels = append(l.n.Channels, also...)
		slices.SortFunc(l.n.Channels, chat.ID.Compare)
		l.n.Channels = slices.Compact(l.n.Channels)
	}
	c.Queue("-- name: commit_channels\nSELECT "+channelColumns+" FROM channels c WHERE c.id = ANY($1)"+d.lockChannels,
		[]any{l.n.Channels}, l.channel)
	l.roles()
	c.Queue("-- name: commit_users\nSELECT "+userColumns+" FROM users u WHERE u.id = ANY($1)", []any{l.n.Users}, l.user)
	l.messages()
	l.reactions()
	l.rest()
	return c.Flush()
}

func (l loader) messages() {
	if len(l.n.Messages) == 0 {
		return
	}
	const columns = messageColumns + ", m.body_hash"
	ids := []any{l.n.Messages}
	l.c.Queue(`-- name: commit_authors
		SELECT `+userColumns+` FROM users u WHERE u.id IN (SELECT user_id FROM messages WHERE id = ANY($1))`, ids, l.user)
	l.c.Queue("-- name: commit_messages\nSELECT "+columns+" FROM messages m WHERE m.id = ANY($1)", ids, l.message)
	// A deleted reply is subtracted from its parent's count.
	l.c.Queue(`-- name: commit_parents
		SELECT `+columns+` FROM messages m
		WHERE m.id IN (SELECT parent_id FROM messages WHERE id = ANY($1) AND parent_id IS NOT NULL)`, ids, l.message)
}

func (l loader) reactions() {
	if len(l.n.Reactions) == 0 {
		return
	}
	l.c.Queue(`-- name: commit_emojis
		SELECT message_id, emoji, count(*) FROM reactions WHERE message_id = ANY($1) GROUP BY message_id, emoji`,
		[]any{l.n.Reactions}, l.emoji)
	l.c.Queue(`-- name: commit_reactions
		SELECT message_id, emoji, user_id FROM reactions WHERE message_id = ANY($1) AND user_id = ANY($2)`,
		[]any{l.n.Reactions, l.n.Users}, func(r row) error {
			var k state.Reaction
			err := r.Scan(&k.MessageID, &k.Emoji, &k.UserID)
			l.Reactions[k] = true
			return err
		})
}

func (l loader) rest() {
	if len(l.n.Changes) > 0 {
		l.c.Queue("-- name: commit_repeated\nSELECT id, "+changeColumns+" FROM changes WHERE id = ANY($1)",
			[]any{l.n.Changes}, func(r row) error {
				var id chat.ID
				e, err := scanChange(r, &id)
				l.Committed[id] = e
				return err
			})
	}
	if len(l.n.Owners) > 0 {
		l.c.Queue(`-- name: commit_owners
			SELECT channel_id, count(*) FROM members WHERE channel_id = ANY($1) AND role = 'owner' GROUP BY channel_id`,
			[]any{l.n.Owners}, func(r row) error {
				var id chat.ID
				var n int64
				err := r.Scan(&id, &n)
				l.Owners[id] = n
				return err
			})
	}
	if len(l.n.Directs) > 0 {
		l.c.Queue(`-- name: commit_directs
			SELECT c.direct_key, `+channelColumns+` FROM channels c WHERE c.direct_key = ANY($1)`,
			[]any{l.n.Directs}, func(r row) error {
				var key string
				ch, err := scanChannel(r, &key)
				l.Directs[key] = ch.ID
				l.Channels[ch.ID] = ch
				return err
			})
	}
}

func (l loader) user(r row) error {
	u := new(chat.User)
	err := r.Scan(userInto(u)...)
	l.Users[u.ID] = u
	return err
}

func (l loader) channel(r row) error {
	ch, err := scanChannel(r)
	l.Channels[ch.ID] = ch
	return err
}

func scanChannel(r row, before ...any) (*state.Channel, error) {
	ch := new(state.Channel)
	var last chat.Time
	err := r.Scan(append(before, channelInto(&ch.Channel, &last)...)...)
	ch.LastMessageAt = timeOrNil(last)
	return ch, err
}

func (l loader) message(r row) error {
	m := new(state.Message)
	err := scanMessage(r, &m.Message, &m.BodyHash)
	if l.Messages[m.ID] == nil {
		if u := l.Users[m.UserID]; u != nil {
			m.User = u.Ref(false)
		}
		l.Messages[m.ID] = m
	}
	return err
}

func (l loader) emoji(r row) error {
	var id chat.ID
	var emoji string
	var n int64
	err := r.Scan(&id, &emoji, &n)
	if l.Emoji[id] == nil {
		l.Emoji[id] = make(map[string]int64)
	}
	l.Emoji[id][emoji] = n
	return err
}

func (l loader) roles() {
	const columns = "SELECT m.channel_id, m.user_id, m.role FROM members m"
	each := func(r row) error {
		var k state.Membership
		var role string
		err := r.Scan(&k.ChannelID, &k.UserID, &role)
		l.Roles[k] = chat.Role(role)
		return err
	}
	if !l.d.arrays { // there are no round trips to save
		queued := make(map[state.Membership]bool, len(l.n.Memberships))
		for _, m := range l.n.Memberships {
			if !queued[m] {
				queued[m] = true
				l.c.Queue("-- name: commit_role\n"+columns+" WHERE m.channel_id = $1 AND m.user_id = $2",
					[]any{m.ChannelID, m.UserID}, each)
			}
		}
		return
	}
	channels, users := make([]chat.ID, len(l.n.Memberships)), make([]chat.UserID, len(l.n.Memberships))
	for i, m := range l.n.Memberships {
		channels[i], users[i] = m.ChannelID, m.UserID
	}
	l.c.Queue("-- name: commit_roles\n"+columns+l.d.pairs, []any{channels, users}, each)
}
