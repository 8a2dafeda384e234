package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/chowk-chat/chowk/chat"
)

// The groups of calls in the reference.
const (
	tagChannels = "Channels"
	tagMessages = "Messages"
	tagPeople   = "People"
	tagAccounts = "Accounts"
	tagAdmin    = "Administration"
)

// ActionResult reports success, in the words of the old system.
type ActionResult struct {
	Message string `json:"message"`
}

type (
	nothing struct{}
	// InChannel is the channel in a path. It is exported because huma ignores embedded
	// structs that are not.
	InChannel struct {
		ID chat.ID `path:"id" doc:"The channel"`
	}
	listChannels struct {
		IncludeArchived bool `query:"include_archived" doc:"Include archived channels"`
	}
	browse struct {
		Query string `query:"query" maxLength:"100" doc:"Part of the name or topic; empty for all"`
	}
	createChannel struct {
		Body chat.CreateChannelRequest
	}
	directChannel struct {
		Body DirectRequest
	}
	updateChannel struct {
		InChannel
		Body chat.ChannelPatch
	}
	addMembers struct {
		InChannel
		Body chat.AddMembersRequest
	}
	// OfMember is the member in a path.
	OfMember struct {
		InChannel
		User chat.UserID `path:"user_id" doc:"The member"`
	}
	updateMember struct {
		OfMember
		Body RoleRequest
	}
	updateMe struct {
		InChannel
		Body chat.MembershipPatch
	}
	markRead struct {
		InChannel
		Body *ReadBody
	}
)

// DirectRequest is the other user of a direct channel.
type DirectRequest struct {
	UserID chat.UserID `json:"user_id"`
}

// RoleRequest is a member's new role.
type RoleRequest struct {
	Role chat.Role `json:"role"`
}

// ReadBody is how far the caller has read: everything, if both are absent.
type ReadBody struct {
	MessageID chat.ID  `json:"message_id,omitzero"`
	Seq       chat.Seq `json:"seq,omitzero"`
}

func channelCall(route, id, summary string) call {
	return call{route: route, id: id, tag: tagChannels, summary: summary}
}

// channelCalls registers the calls about channels and their members.
func (d *handler) channelCalls() {
	s := d.Rules
	add(d, channelCall("GET /channels/", "listChannels", "List your channels, those with the latest activity first"),
		func(ctx context.Context, a caller, in *listChannels) ([]chat.Channel, error) {
			return s.Channels(ctx, a.Caller, in.IncludeArchived)
		})
	create := channelCall("POST /channels/", "createChannel", "Create a channel that you own")
	create.status = http.StatusCreated
	add(d, create, func(ctx context.Context, a caller, in *createChannel) (*chat.Channel, error) {
		return s.CreateChannel(ctx, a.Caller, in.Body)
	})
	add(d, channelCall("GET /channels/browse", "browseChannels", "List public channels to join"),
		func(ctx context.Context, a caller, in *browse) ([]chat.Channel, error) {
			return s.Browse(ctx, a.Caller, in.Query)
		})
	add(d, channelCall("POST /channels/direct", "directChannel", "Get or create the direct channel with another user"),
		func(ctx context.Context, a caller, in *directChannel) (*chat.Channel, error) {
			return s.DirectChannel(ctx, a.Caller, in.Body.UserID)
		})
	add(d, channelCall("GET /channels/{id}", "getChannel", "Get a channel"),
		func(ctx context.Context, a caller, in *InChannel) (*chat.Channel, error) {
			return s.Channel(ctx, a.Caller, in.ID)
		})
	add(d, channelCall("PATCH /channels/{id}", "updateChannel",
		"Change a channel's name, description or topic, or archive it (owner, admin)"),
		func(ctx context.Context, a caller, in *updateChannel) (*chat.Channel, error) {
			return s.UpdateChannel(ctx, a.Caller, in.ID, in.Body)
		})
	add(d, channelCall("POST /channels/{id}/read", "markRead", "Mark a channel as read, up to a message or all of it"),
		func(ctx context.Context, a caller, in *markRead) (ActionResult, error) {
			read := chat.ReadRequest{ChannelID: in.ID}
			if in.Body != nil {
				read.MessageID, read.Seq = in.Body.MessageID, in.Body.Seq
			}
			_, err := s.MarkRead(ctx, a.Caller, read)
			return ActionResult{"Marked as read"}, err
		})
}

// memberCalls registers the calls about the members of a channel.
func (d *handler) memberCalls() {
	s := d.Rules
	add(d, channelCall("GET /channels/{id}/members", "listMembers", "List the members of a channel"),
		func(ctx context.Context, a caller, in *InChannel) ([]chat.Member, error) {
			return s.Members(ctx, a.Caller, in.ID)
		})
	add(d, channelCall("POST /channels/{id}/members", "addMembers",
		"Add members (owner, admin), or join a public channel yourself"),
		func(ctx context.Context, a caller, in *addMembers) (ActionResult, error) {
			in.Body.ChannelID = in.ID
			n, err := s.AddMembers(ctx, a.Caller, in.Body)
			return ActionResult{fmt.Sprintf("Added %d members", n)}, err
		})
	add(d, channelCall("PATCH /channels/{id}/members/me", "updateMembership", "Change your own settings in a channel"),
		func(ctx context.Context, a caller, in *updateMe) (ActionResult, error) {
			return ActionResult{"Membership updated"}, s.SetMembership(ctx, a.Caller, in.ID, in.Body)
		})
	add(d, channelCall("PATCH /channels/{id}/members/{user_id}", "updateMember",
		"Change a member's role (owner, admin)"),
		func(ctx context.Context, a caller, in *updateMember) (ActionResult, error) {
			return ActionResult{"Member updated"}, s.UpdateMember(ctx, a.Caller, in.ID, in.User, in.Body.Role)
		})
	do(d, channelCall("DELETE /channels/{id}/members/{user_id}", "removeMember",
		"Remove a member (owner, admin), or leave yourself"),
		func(ctx context.Context, a caller, in *OfMember) error {
			return s.RemoveMember(ctx, a.Caller, in.ID, in.User)
		})
}
