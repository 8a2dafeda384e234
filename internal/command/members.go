package command

import (
	"context"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

var (
	addFields        = fieldsOf[chat.AddMembersRequest]()
	membershipFields = fieldsOf[chat.MembershipPatch]()
)

// AddMembers adds users to a channel, each by a change of its own, and returns how many
// were not members before.
func (s *Service) AddMembers(ctx context.Context, c Caller, in chat.AddMembersRequest) (added int, err error) {
	if in.Role == "" {
		in.Role = chat.RoleMember
	}
	in.UserIDs = slices.Clone(in.UserIDs)
	slices.Sort(in.UserIDs)
	in.UserIDs = slices.Compact(in.UserIDs)
	if len(in.UserIDs) == 0 {
		return 0, chat.Invalid("user_ids", "user_ids must name at least one user")
	}
	if err := addFields.check(&in); err != nil {
		return 0, err
	}
	for _, u := range in.UserIDs {
		change := s.change(state.AddMember, c, in.ChannelID)
		change.Subject, change.Role = u, in.Role
		out, err := s.commit(ctx, change)
		if err != nil {
			return added, err
		}
		if !out.Duplicate {
			added++
		}
	}
	return added, nil
}

// RemoveMember ends a membership: the caller's own or another user's.
func (s *Service) RemoveMember(ctx context.Context, c Caller, channel chat.ID, user chat.UserID) error {
	if err := validUser("user_id", user); err != nil {
		return err
	}
	change := s.change(state.RemoveMember, c, channel)
	change.Subject = user
	_, err := s.commit(ctx, change)
	return err
}

// UpdateMember changes the role of a member.
func (s *Service) UpdateMember(ctx context.Context, c Caller, channel chat.ID, user chat.UserID, role chat.Role) error {
	if err := validUser("user_id", user); err != nil {
		return err
	}
	if err := oneOf("role", role, chat.RoleNames); err != nil {
		return err
	}
	change := s.change(state.UpdateMember, c, channel)
	change.Subject, change.Role = user, role
	_, err := s.commit(ctx, change)
	return err
}

// Members returns the members of a channel.
func (s *Service) Members(ctx context.Context, c Caller, channel chat.ID) ([]chat.Member, error) {
	return s.Store.Members(ctx, channel, c.User)
}

// SetMembership changes the caller's own settings in a channel.
func (s *Service) SetMembership(ctx context.Context, c Caller, channel chat.ID, p chat.MembershipPatch) error {
	if err := membershipFields.check(&p); err != nil {
		return err
	}
	return s.Store.SetMembership(ctx, channel, c.User, p)
}
