package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

type (
	history struct {
		InChannel
		Limit    int     `query:"limit" default:"50" minimum:"1" maximum:"100" doc:"How many at most"`
		Before   string  `query:"before" doc:"Only messages before this one (an id), or created before this time (RFC 3339)"`
		BeforeID chat.ID `query:"before_id" doc:"Only messages before this one"`
		AfterSeq int64   `query:"after_seq" minimum:"0" doc:"The oldest messages after this seq"`
		ParentID chat.ID `query:"parent_id" doc:"Only replies to this message"`
	}
	// OfMessage names the message of a path.
	OfMessage struct {
		InChannel
		Message chat.ID `path:"message_id" doc:"The message"`
	}
	sendMessage struct {
		InChannel
		Body MessageBody
	}
	editMessage struct {
		OfMessage
		Body ContentBody
	}
	addReaction struct {
		OfMessage
		Body EmojiBody
	}
	removeReaction struct {
		OfMessage
		Emoji string `path:"emoji" doc:"The emoji, URL-encoded"`
	}
)

// MessageBody is a new message. The path has its channel.
type MessageBody struct {
	Content          string           `json:"content" minLength:"1" doc:"At most 16384 bytes"`
	ClientID         string           `json:"client_id,omitempty" maxLength:"64" doc:"Sending again with the same client_id never makes a second message; a version 7 UUID becomes the message's id"`
	MessageType      chat.MessageType `json:"message_type,omitempty" enum:"text,file,image,video,audio,code" doc:"text when left out"`
	ParentMessageID  *chat.ID         `json:"parent_message_id,omitempty" doc:"The message that this one replies to"`
	MentionedUserIDs []chat.UserID    `json:"mentioned_user_ids,omitempty" maxItems:"50"`
	AttachmentIDs    []chat.ID        `json:"attachment_ids,omitempty"`
	FileURL          *string          `json:"file_url,omitempty" maxLength:"2048"`
	FileName         *string          `json:"file_name,omitempty" maxLength:"255"`
	FileType         *string          `json:"file_type,omitempty" maxLength:"255"`
	FileSize         *int64           `json:"file_size,omitempty" minimum:"0"`
}

func (b MessageBody) request(channel chat.ID) chat.SendRequest {
	return chat.SendRequest{
		ChannelID: channel, Content: b.Content, ClientID: b.ClientID, MessageType: b.MessageType,
		ParentMessageID: b.ParentMessageID, MentionedUserIDs: b.MentionedUserIDs, AttachmentIDs: b.AttachmentIDs,
		FileURL: b.FileURL, FileName: b.FileName, FileType: b.FileType, FileSize: b.FileSize,
	}
}

// ContentBody is a message's new content.
type ContentBody struct {
	Content string `json:"content" minLength:"1" doc:"At most 16384 bytes"`
}

// EmojiBody is a reaction.
type EmojiBody struct {
	Emoji string `json:"emoji" minLength:"1" doc:"At most 50 bytes"`
}

// query is what the rules are asked. before is a time or an id: the old client
// sends either.
func (in *history) query() (model.HistoryQuery, error) {
	q := model.HistoryQuery{
		ChannelID: in.ID, Limit: in.Limit, BeforeID: in.BeforeID, AfterSeq: in.AfterSeq, ParentID: in.ParentID,
	}
	if in.Before != "" {
		id, err := chat.ParseID(in.Before)
		if err == nil && q.BeforeID.IsZero() {
			q.BeforeID = id
		} else if err != nil {
			// A + that was not escaped arrives as a space.
			if q.BeforeTime.UnmarshalText([]byte(strings.ReplaceAll(in.Before, " ", "+"))) != nil {
				return q, chat.Invalid("before", "before must be a message's id or an RFC 3339 time such as 2026-01-02T15:04:05Z")
			}
		}
	}
	if q.AfterSeq > 0 && (q.BeforeTime != 0 || !q.BeforeID.IsZero()) {
		return q, chat.Invalid("after_seq", "after_seq goes with neither before nor before_id")
	}
	if q.BeforeTime != 0 && !q.BeforeID.IsZero() {
		q.BeforeTime = 0 // the id says it exactly
	}
	return q, nil
}

// messageCalls is the table of calls about messages.
func (d *handler) messageCalls() {
	r := d.Rules
	add(d, call{
		route: "GET /channels/{id}/messages", id: "listMessages", tag: tagMessages,
		summary: "Get a page of a channel's messages, newest first",
	},
		func(ctx context.Context, a caller, in *history) ([]chat.Message, error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			page, err := r.History(ctx, a.Caller, q)
			if d.OldPage {
				slices.Reverse(page) // it shows them in the order in which they come
			}
			return page, err
		})
	add(d, call{
		route: "POST /channels/{id}/messages", id: "sendMessage", tag: tagMessages, summary: "Send a message",
		status: http.StatusCreated, hold: true,
	},
		func(ctx context.Context, a caller, in *sendMessage) (*chat.Message, error) {
			sent, err := r.SendMessage(ctx, a.Caller, in.Body.request(in.ID))
			return sent.Message, err
		})
	add(d, call{
		route: "GET /channels/{id}/messages/{message_id}", id: "getMessage", tag: tagMessages, summary: "Get a message",
	},
		func(ctx context.Context, a caller, in *OfMessage) (*chat.Message, error) {
			return r.Message(ctx, a.Caller, in.ID, in.Message)
		})
	add(d, call{
		route: "PATCH /channels/{id}/messages/{message_id}", id: "editMessage", tag: tagMessages,
		summary: "Give your own message new content",
	},
		func(ctx context.Context, a caller, in *editMessage) (*chat.Message, error) {
			m, _, err := r.EditMessage(ctx, a.Caller, chat.EditRequest{
				ChannelID: in.ID, MessageID: in.Message, Content: in.Body.Content,
			})
			return m, err
		})
	do(d, call{
		route: "DELETE /channels/{id}/messages/{message_id}", id: "deleteMessage", tag: tagMessages,
		summary: "Delete a message (author, owner, admin)",
	},
		func(ctx context.Context, a caller, in *OfMessage) error {
			_, err := r.DeleteMessage(ctx, a.Caller, chat.MessageRequest{ChannelID: in.ID, MessageID: in.Message})
			return err
		})
	add(d, call{
		route: "POST /channels/{id}/messages/{message_id}/reactions", id: "addReaction", tag: tagMessages,
		summary: "Put an emoji on a message",
	},
		func(ctx context.Context, a caller, in *addReaction) (ActionResult, error) {
			seq, err := r.AddReaction(ctx, a.Caller, chat.ReactionRequest{
				ChannelID: in.ID, MessageID: in.Message, Emoji: in.Body.Emoji,
			})
			if seq == 0 {
				return ActionResult{"Reaction already exists"}, err
			}
			return ActionResult{"Reaction added"}, err
		})
	add(d, call{
		route: "DELETE /channels/{id}/messages/{message_id}/reactions/{emoji}", id: "removeReaction", tag: tagMessages,
		summary: "Take your emoji off a message",
	},
		func(ctx context.Context, a caller, in *removeReaction) (ActionResult, error) {
			_, err := r.RemoveReaction(ctx, a.Caller, chat.ReactionRequest{
				ChannelID: in.ID, MessageID: in.Message, Emoji: in.Emoji,
			})
			return ActionResult{"Reaction removed"}, err
		})
}
