package command

import (
	"context"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// CreateChannel makes a channel that the caller owns.
func (r *Service) CreateChannel(ctx context.Context, c Caller, in chat.CreateChannelRequest) (*chat.Channel, error) {
	if in.ChannelType == "" {
		in.ChannelType = chat.Group
	}
	in.Name = strings.TrimSpace(in.Name)
	switch {
	case in.Name == "":
		return nil, chat.Invalid("name", "name must have 1 to 100 characters")
	case !in.ChannelType.Valid():
		return nil, chat.Invalid("channel_type", "channel_type must be one of group, tutor_student, class, subject")
	case in.ChannelType == chat.Direct:
		return nil, chat.Invalid("channel_type", "a direct channel is made by POST /channels/direct")
	case len(in.MemberIDs) > chat.MaxAddMembers:
		return nil, chat.Invalid("member_ids", "member_ids holds too many: at most "+itoa(chat.MaxAddMembers)+"; add the others afterwards")
	case in.TutorID != nil && !in.TutorID.Valid():
		return nil, chat.Invalid("tutor_id", "tutor_id is not a user id")
	}
	if err := validUsers("member_ids", in.MemberIDs); err != nil {
		return nil, err
	}
	if err := checkPatch(chat.ChannelPatch{Name: &in.Name, Description: in.Description, Topic: in.Topic}); err != nil {
		return nil, err
	}
	if err := optionalText("subject", in.Subject, chat.MaxTopic); err != nil {
		return nil, err
	}
	founders := []state.InitialMember{{UserID: c.User, Role: chat.RoleOwner}}
	for _, u := range in.MemberIDs {
		if !slices.ContainsFunc(founders, func(f state.InitialMember) bool { return f.UserID == u }) {
			founders = append(founders, state.InitialMember{UserID: u, Role: chat.RoleMember})
		}
	}
	return r.create(ctx, c, chat.Channel{
		Name: in.Name, Description: in.Description, ChannelType: in.ChannelType, IsPrivate: in.IsPrivate,
		TutorID: in.TutorID, Subject: in.Subject, Topic: in.Topic,
	}, founders, "")
}

// DirectChannel gets or makes the one direct channel of the caller and another.
func (r *Service) DirectChannel(ctx context.Context, c Caller, other chat.UserID) (*chat.Channel, error) {
	if !other.Valid() {
		return nil, chat.Invalid("user_id", "user_id is not a user id")
	}
	if other == c.User {
		return nil, chat.Invalid("user_id", "user_id is your own: a direct channel needs somebody else")
	}
	key := state.DirectKey(c.User, other)
	found, err := r.Store.DirectChannel(ctx, key, c.User)
	if err == nil || chat.AsError(err).Code != chat.NotFound {
		return found, err
	}
	return r.create(ctx, c, chat.Channel{
		Name: "DM-" + string(c.User) + "-" + string(other), ChannelType: chat.Direct, IsPrivate: true,
	}, []state.InitialMember{{UserID: c.User, Role: chat.RoleOwner}, {UserID: other, Role: chat.RoleOwner}}, key)
}

func (r *Service) create(ctx context.Context, c Caller, ch chat.Channel, founders []state.InitialMember, key string) (*chat.Channel, error) {
	change := r.change(state.CreateChannel, c, chat.ID{})
	change.ChannelID = change.ID
	change.DirectKey, change.Members = key, founders
	ch.ID, ch.CreatedBy, ch.CreatedAt, ch.UpdatedAt = change.ID, c.User, change.At, change.At
	change.Channel = &ch
	out, err := r.commit(ctx, change)
	if err != nil {
		return nil, err
	}
	return r.Store.Channel(ctx, out.Channel.ID, c.User)
}

// UpdateChannel changes a channel's name, description, topic or archival.
func (r *Service) UpdateChannel(ctx context.Context, c Caller, id chat.ID, p chat.ChannelPatch) (*chat.Channel, error) {
	if p.Name != nil {
		name := strings.TrimSpace(*p.Name)
		if p.Name = &name; name == "" {
			return nil, chat.Invalid("name", "name must have 1 to 100 characters")
		}
	}
	if err := checkPatch(p); err != nil {
		return nil, err
	}
	change := r.change(state.UpdateChannel, c, id)
	change.Patch = p
	if _, err := r.commit(ctx, change); err != nil {
		return nil, err
	}
	return r.Store.Channel(ctx, id, c.User)
}

func checkPatch(p chat.ChannelPatch) error {
	if err := optionalText("name", p.Name, chat.MaxName); err != nil {
		return err
	}
	if err := optionalText("description", p.Description, chat.MaxDescription); err != nil {
		return err
	}
	return optionalText("topic", p.Topic, chat.MaxTopic)
}

// Channels lists the caller's channels, newest activity first.
func (r *Service) Channels(ctx context.Context, c Caller, includeArchived bool) ([]chat.Channel, error) {
	if err := r.Journal.FlushReads(ctx, c.User); err != nil {
		return nil, err
	}
	return r.Store.Channels(ctx, c.User, includeArchived)
}

// Channel gives one channel; a private one only to its members.
func (r *Service) Channel(ctx context.Context, c Caller, id chat.ID) (*chat.Channel, error) {
	if err := r.Journal.FlushReads(ctx, c.User); err != nil {
		return nil, err
	}
	return r.Store.Channel(ctx, id, c.User)
}

// browsePage is how many channels Browse lists at most.
const browsePage = 50

// Browse lists public channels, to join one.
func (r *Service) Browse(ctx context.Context, c Caller, query string) ([]chat.Channel, error) {
	if err := text("query", query, chat.MaxName); err != nil {
		return nil, err
	}
	return r.Store.Browse(ctx, c.User, query, browsePage)
}
