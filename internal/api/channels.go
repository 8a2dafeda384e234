package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/chowk-chat/chowk/chat"
)

// The calls' groups in the reference.
const (
	tagChannels = "Channels"
	tagMessages = "Messages"
	tagPeople   = "People"
	tagAccounts = "Accounts"
	tagAdmin    = "Administration"
)

// ActionResult says that it is done, as the old system said it.
type ActionResult struct {
	Message string `json:"message"`
}

type (
	nothing struct{}
	// InChannel names the channel of a path. It is exported because huma looks into
	// no embedded struct that is not.
	InChannel struct {
		ID chat.ID `path:"id" doc:"The channel"`
	}
	listChannels struct {
		IncludeArchived bool `query:"include_archived" doc:"Archived channels too"`
	}
	browse struct {
		Query string `query:"query" maxLength:"100" doc:"What the name or topic contains; empty for all"`
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
	// OfMember names the member of a path.
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

// DirectRequest names the other user of a direct channel.
type DirectRequest struct {
	UserID chat.UserID `json:"user_id"`
}

// RoleRequest gives a member another role.
type RoleRequest struct {
	Role chat.Role `json:"role" enum:"owner,admin,member,guest"`
}

// ReadBody says how far the caller has read; all there is when both are left out.
type ReadBody struct {
	MessageID chat.ID  `json:"message_id,omitzero"`
	Seq       chat.Seq `json:"seq,omitzero"`
}

// channelCalls is the table of calls about channels and their members.
func (d *handler) channelCalls() {
	r := d.Rules
	add(d, call{
		route: "GET /channels/", id: "listChannels", tag: tagChannels, summary: "List your channels, newest activity first",
	},
		func(ctx context.Context, a caller, in *listChannels) ([]chat.Channel, error) {
			return r.Channels(ctx, a.Caller, in.IncludeArchived)
		})
	add(d, call{
		route: "POST /channels/", id: "createChannel", tag: tagChannels, summary: "Make a channel that you own",
		status: http.StatusCreated,
	},
		func(ctx context.Context, a caller, in *createChannel) (*chat.Channel, error) {
			return r.CreateChannel(ctx, a.Caller, in.Body)
		})
	add(d, call{
		route: "GET /channels/browse", id: "browseChannels", tag: tagChannels, summary: "List public channels, to join one",
	},
		func(ctx context.Context, a caller, in *browse) ([]chat.Channel, error) {
			return r.Browse(ctx, a.Caller, in.Query)
		})
	add(d, call{
		route: "POST /channels/direct", id: "directChannel", tag: tagChannels,
		summary: "Get or make the one direct channel with another user",
	},
		func(ctx context.Context, a caller, in *directChannel) (*chat.Channel, error) {
			return r.DirectChannel(ctx, a.Caller, in.Body.UserID)
		})
	add(d, call{route: "GET /channels/{id}", id: "getChannel", tag: tagChannels, summary: "Get a channel"},
		func(ctx context.Context, a caller, in *InChannel) (*chat.Channel, error) {
			return r.Channel(ctx, a.Caller, in.ID)
		})
	add(d, call{
		route: "PATCH /channels/{id}", id: "updateChannel", tag: tagChannels,
		summary: "Change a channel's name, description, topic or archival (owner, admin)",
	},
		func(ctx context.Context, a caller, in *updateChannel) (*chat.Channel, error) {
			return r.UpdateChannel(ctx, a.Caller, in.ID, in.Body)
		})
	add(d, call{
		route: "GET /channels/{id}/members", id: "listMembers", tag: tagChannels, summary: "List a channel's members",
	},
		func(ctx context.Context, a caller, in *InChannel) ([]chat.Member, error) {
			return r.Members(ctx, a.Caller, in.ID)
		})
	add(d, call{
		route: "POST /channels/{id}/members", id: "addMembers", tag: tagChannels,
		summary: "Add members (owner, admin), or join a public channel yourself",
	},
		func(ctx context.Context, a caller, in *addMembers) (ActionResult, error) {
			in.Body.ChannelID = in.ID
			n, err := r.AddMembers(ctx, a.Caller, in.Body)
			return ActionResult{fmt.Sprintf("Added %d members", n)}, err
		})
	add(d, call{
		route: "PATCH /channels/{id}/members/me", id: "updateMembership", tag: tagChannels,
		summary: "Change your own settings in a channel",
	},
		func(ctx context.Context, a caller, in *updateMe) (ActionResult, error) {
			return ActionResult{"Membership updated"}, r.SetMembership(ctx, a.Caller, in.ID, in.Body)
		})
	add(d, call{
		route: "PATCH /channels/{id}/members/{user_id}", id: "updateMember", tag: tagChannels,
		summary: "Give a member another role (owner, admin)",
	},
		func(ctx context.Context, a caller, in *updateMember) (ActionResult, error) {
			return ActionResult{"Member updated"}, r.UpdateMember(ctx, a.Caller, in.ID, in.User, in.Body.Role)
		})
	do(d, call{
		route: "DELETE /channels/{id}/members/{user_id}", id: "removeMember", tag: tagChannels,
		summary: "Remove a member (owner, admin), or leave yourself",
	},
		func(ctx context.Context, a caller, in *OfMember) error {
			return r.RemoveMember(ctx, a.Caller, in.ID, in.User)
		})
	add(d, call{
		route: "POST /channels/{id}/read", id: "markRead", tag: tagChannels,
		summary: "Mark a channel as read, up to a message or all of it",
	},
		func(ctx context.Context, a caller, in *markRead) (ActionResult, error) {
			read := chat.ReadRequest{ChannelID: in.ID}
			if in.Body != nil {
				read.MessageID, read.Seq = in.Body.MessageID, in.Body.Seq
			}
			_, err := r.MarkRead(ctx, a.Caller, read)
			return ActionResult{"Marked as read"}, err
		})
}
