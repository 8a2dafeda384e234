package command

import (
	"context"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

var (
	createFields = fieldsOf[chat.CreateChannelRequest]()
	patchFields  = fieldsOf[chat.ChannelPatch]()

	errNoName = chat.Invalid("name", "name is required")
)

// CreateChannel creates a channel that the caller owns.
func (s *Service) CreateChannel(ctx context.Context, c Caller, in chat.CreateChannelRequest) (*chat.Channel, error) {
	if in.ChannelType == "" {
		in.ChannelType = chat.Group
	}
	switch in.Name = strings.TrimSpace(in.Name); {
	case in.Name == "":
		return nil, errNoName
	case in.ChannelType == chat.Direct:
		return nil, chat.Invalid("channel_type", "POST /channels/direct creates direct channels")
	}
	if err := createFields.check(&in); err != nil {
		return nil, err
	}
	members := []state.InitialMember{{UserID: c.User, Role: chat.RoleOwner}}
	for _, u := range in.MemberIDs {
		if !slices.ContainsFunc(members, func(m state.InitialMember) bool { return m.UserID == u }) {
			members = append(members, state.InitialMember{UserID: u, Role: chat.RoleMember})
		}
	}
	return s.create(ctx, c, chat.Channel{
		Name: in.Name, Description: in.Description, ChannelType: in.ChannelType, IsPrivate: in.IsPrivate,
		TutorID: in.TutorID, Subject: in.Subject, Topic: in.Topic,
	}, members, "")
}

// DirectChannel returns the direct channel of the caller and another user, and creates
// it if there is none.
func (s *Service) DirectChannel(ctx context.Context, c Caller, other chat.UserID) (*chat.Channel, error) {
	if err := validUser("user_id", other); err != nil {
		return nil, err
	}
	if other == c.User {
		return nil, chat.Invalid("user_id", "user_id is your own: a direct channel needs another user")
	}
	key := state.DirectKey(c.User, other)
	found, err := s.Store.DirectChannel(ctx, key, c.User)
	if err == nil || chat.AsError(err).Code != chat.NotFound {
		return found, err
	}
	return s.create(ctx, c, chat.Channel{
		Name: "DM-" + string(c.User) + "-" + string(other), ChannelType: chat.Direct, IsPrivate: true,
	}, []state.InitialMember{{UserID: c.User, Role: chat.RoleOwner}, {UserID: other, Role: chat.RoleOwner}}, key)
}

func (s *Service) create(
	ctx context.Context, c Caller, ch chat.Channel, members []state.InitialMember, directKey string,
) (*chat.Channel, error) {
	change := s.change(state.CreateChannel, c, chat.ID{})
	change.ChannelID = change.ID
	change.DirectKey, change.Members = directKey, members
	ch.ID, ch.CreatedBy, ch.CreatedAt, ch.UpdatedAt = change.ID, c.User, change.At, change.At
	change.Channel = &ch
	out, err := s.commit(ctx, change)
	if err != nil {
		return nil, err
	}
	return s.Store.Channel(ctx, out.Channel.ID, c.User)
}

// UpdateChannel changes a channel's name, description or topic, or archives it.
func (s *Service) UpdateChannel(ctx context.Context, c Caller, id chat.ID, p chat.ChannelPatch) (*chat.Channel, error) {
	if p.Name != nil {
		name := strings.TrimSpace(*p.Name)
		if p.Name = &name; name == "" {
			return nil, errNoName
		}
	}
	if err := patchFields.check(&p); err != nil {
		return nil, err
	}
	change := s.change(state.UpdateChannel, c, id)
	change.Patch = p
	if _, err := s.commit(ctx, change); err != nil {
		return nil, err
	}
	return s.Store.Channel(ctx, id, c.User)
}

// Channels returns the caller's channels, those with the latest activity first.
func (s *Service) Channels(ctx context.Context, c Caller, includeArchived bool) ([]chat.Channel, error) {
	if err := s.Journal.FlushReads(ctx, c.User); err != nil {
		return nil, err
	}
	return s.Store.Channels(ctx, c.User, includeArchived)
}

// Channel returns a channel. A private one is only returned to its members.
func (s *Service) Channel(ctx context.Context, c Caller, id chat.ID) (*chat.Channel, error) {
	if err := s.Journal.FlushReads(ctx, c.User); err != nil {
		return nil, err
	}
	return s.Store.Channel(ctx, id, c.User)
}

// maxBrowse is the maximum number of channels that Browse returns.
const maxBrowse = 50

// Browse returns public channels, for users who want to join one.
func (s *Service) Browse(ctx context.Context, c Caller, query string) ([]chat.Channel, error) {
	if err := checkQuery(query); err != nil {
		return nil, err
	}
	return s.Store.Browse(ctx, c.User, query, maxBrowse)
}

// checkQuery checks a search for channels or users.
func checkQuery(query string) error {
	return checkText("query", query, chat.Limit{Max: chat.MaxName, Unit: chat.Characters})
}
