package store

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

const channelColumns = `c.id, c.name, c.description, c.channel_type, c.is_private, c.is_archived, c.created_by, c.tutor_id, c.subject, c.topic,
	c.member_count, c.message_count, c.last_seq, c.last_message_at, c.created_at, c.updated_at`

func channelInto(ch *chat.Channel, lastMessage *chat.Time) []any {
	return []any{
		&ch.ID, &ch.Name, &ch.Description, (*string)(&ch.ChannelType), &ch.IsPrivate, &ch.IsArchived, &ch.CreatedBy, &ch.TutorID, &ch.Subject,
		&ch.Topic, &ch.MemberCount, &ch.MessageCount, &ch.LastSeq, lastMessage, &ch.CreatedAt, &ch.UpdatedAt,
	}
}

const userColumns = `u.id, u.name, u.email, u.picture, u.first_name, u.last_name, u.phone, u.role, u.is_admin, u.is_active, u.is_verified, u.created_at`

func userInto(u *chat.User) []any {
	return []any{
		&u.ID, &u.Name, &u.Email, &u.Picture, &u.FirstName, &u.LastName, &u.Phone, &u.Role, &u.IsAdmin, &u.IsActive, &u.IsVerified, &u.CreatedAt,
	}
}

// wanted is what a group has to know before it can be decided.
type wanted struct {
	channels  []chat.ID
	pairs     []pairKey
	users     []chat.UserID
	messages  []chat.ID // by their own id
	changes   []chat.ID
	reactions []chat.ID
	owners    []chat.ID
	directs   []string
}

func (g *group) wants() wanted {
	var w wanted
	for i := range g.changes {
		c := &g.changes[i]
		w.users = append(w.users, c.Actor)
		if c.Kind == state.CreateChannel {
			w.changes = append(w.changes, c.ID)
			if c.DirectKey != "" {
				w.directs = append(w.directs, c.DirectKey)
			}
			for _, f := range c.Members {
				w.users = append(w.users, f.UserID)
			}
			continue
		}
		w.channels = append(w.channels, c.ChannelID)
		w.pairs = append(w.pairs, pairKey{c.ChannelID, c.Actor})
		switch c.Kind {
		case state.SendMessage:
			w.messages = append(w.messages, c.ID)
			if c.Message.ParentMessageID != nil {
				w.messages = append(w.messages, *c.Message.ParentMessageID)
			}
			continue
		case state.AddReaction, state.RemoveReaction:
			w.reactions = append(w.reactions, c.MessageID)
			w.messages = append(w.messages, c.MessageID)
		case state.EditMessage, state.DeleteMessage:
			w.messages = append(w.messages, c.MessageID)
		case state.AddMember, state.RemoveMember, state.UpdateMember:
			w.pairs = append(w.pairs, pairKey{c.ChannelID, c.Subject})
			w.users = append(w.users, c.Subject)
			w.owners = append(w.owners, c.ChannelID)
		}
		w.changes = append(w.changes, c.ID)
	}
	slices.SortFunc(w.channels, chat.ID.Compare)
	w.channels = slices.Compact(w.channels)
	slices.Sort(w.users)
	w.users = slices.Compact(w.users)
	return w
}

// load reads all that the group wants, after locking its channels in the order of
// their ids, so that two nodes never wait for each other in a circle. What is read
// after the lock is what the last holder of the lock left: a member removed a
// moment ago is not one any more.
//
// The channels of new messages upon which the database decides are locked with
// them; sends may be nil.
func (g *group) load(c conn, d *dialect, sends *sends) error {
	w := g.wants()
	if sends != nil {
		w.channels = append(w.channels, sends.channels()...)
		slices.SortFunc(w.channels, chat.ID.Compare)
		w.channels = slices.Compact(w.channels)
	}
	c.Queue("-- name: commit_channels\nSELECT "+channelColumns+" FROM channels c WHERE c.id = ANY($1)"+d.lockChannels, []any{w.channels}, g.loadChannel)
	g.loadRoles(c, d, w.pairs)
	c.Queue("-- name: commit_users\nSELECT "+userColumns+" FROM users u WHERE u.id = ANY($1)", []any{w.users}, g.loadUser)
	if len(w.messages) > 0 {
		c.Queue("-- name: commit_authors\nSELECT "+userColumns+" FROM users u WHERE u.id IN (SELECT user_id FROM messages WHERE id = ANY($1))", []any{w.messages}, g.loadUser)
		c.Queue("-- name: commit_messages\nSELECT "+messageColumns+", m.body_hash FROM messages m WHERE m.id = ANY($1)", []any{w.messages}, g.loadMessage)
		// A deleted reply is taken from its parent's count.
		c.Queue("-- name: commit_parents\nSELECT "+messageColumns+", m.body_hash FROM messages m WHERE m.id IN (SELECT parent_id FROM messages WHERE id = ANY($1) AND parent_id IS NOT NULL)",
			[]any{w.messages}, g.loadMessage)
	}
	g.loadRest(c, w)
	return c.Flush()
}

func (g *group) loadRest(c conn, w wanted) {
	if len(w.changes) > 0 {
		c.Queue("-- name: commit_repeated\nSELECT id, "+changeColumns+" FROM changes WHERE id = ANY($1)", []any{w.changes}, func(r row) error {
			var id chat.ID
			ev, err := scanChange(r, &id)
			g.done[id] = ev
			return err
		})
	}
	if len(w.reactions) > 0 {
		c.Queue("-- name: commit_emojis\nSELECT message_id, emoji, count(*) FROM reactions WHERE message_id = ANY($1) GROUP BY message_id, emoji", []any{w.reactions}, g.loadEmoji)
		c.Queue("-- name: commit_reactions\nSELECT message_id, emoji, user_id FROM reactions WHERE message_id = ANY($1) AND user_id = ANY($2)", []any{w.reactions, w.users}, func(r row) error {
			var k reactionKey
			err := r.Scan(&k.message, &k.emoji, &k.user)
			g.reacted[k] = true
			return err
		})
	}
	if len(w.owners) > 0 {
		c.Queue("-- name: commit_owners\nSELECT channel_id, count(*) FROM members WHERE channel_id = ANY($1) AND role = 'owner' GROUP BY channel_id", []any{w.owners}, func(r row) error {
			var id chat.ID
			var n int64
			err := r.Scan(&id, &n)
			g.owners[id] = n
			return err
		})
	}
	if len(w.directs) > 0 {
		c.Queue("-- name: commit_directs\nSELECT c.direct_key, "+channelColumns+" FROM channels c WHERE c.direct_key = ANY($1)", []any{w.directs}, func(r row) error {
			var key string
			ch, err := scanChannel(r, &key)
			g.directs[key] = ch.ID
			g.channels[ch.ID] = ch
			return err
		})
	}
}

func (g *group) loadUser(r row) error {
	u := new(chat.User)
	err := r.Scan(userInto(u)...)
	g.users[u.ID] = u
	return err
}

func (g *group) loadChannel(r row) error {
	ch, err := scanChannel(r)
	g.channels[ch.ID] = ch
	return err
}

func scanChannel(r row, before ...any) (*channelRow, error) {
	ch := new(channelRow)
	var last chat.Time
	err := r.Scan(append(before, channelInto(&ch.Channel, &last)...)...)
	if last != 0 {
		ch.LastMessageAt = &last
	}
	return ch, err
}

func (g *group) loadMessage(r row) error {
	m := new(messageRow)
	err := scanMessage(r, &m.Message, &m.bodyHash)
	if g.messages[m.ID] == nil {
		if u := g.users[m.UserID]; u != nil {
			m.User = u.Ref(false)
		}
		g.messages[m.ID] = m
	}
	return err
}

func (g *group) loadEmoji(r row) error {
	var id chat.ID
	var emoji string
	var n int64
	err := r.Scan(&id, &emoji, &n)
	if g.emojis[id] == nil {
		g.emojis[id] = make(map[string]int64)
	}
	g.emojis[id][emoji] = n
	return err
}

func (g *group) loadRoles(c conn, d *dialect, pairs []pairKey) {
	each := func(r row) error {
		var k pairKey
		var role string
		err := r.Scan(&k.channel, &k.user, &role)
		g.roles[k] = chat.Role(role)
		return err
	}
	if d.pairs == "" { // no round trips to save
		asked := make(map[pairKey]bool, len(pairs))
		for _, p := range pairs {
			if !asked[p] {
				asked[p] = true
				c.Queue("-- name: commit_role\nSELECT m.channel_id, m.user_id, m.role FROM members m WHERE m.channel_id = $1 AND m.user_id = $2", []any{p.channel, p.user}, each)
			}
		}
		return
	}
	channels, users := make([]chat.ID, len(pairs)), make([]chat.UserID, len(pairs))
	for i, p := range pairs {
		channels[i], users[i] = p.channel, p.user
	}
	c.Queue("-- name: commit_roles\nSELECT m.channel_id, m.user_id, m.role FROM members m"+d.pairs, []any{channels, users}, each)
}
