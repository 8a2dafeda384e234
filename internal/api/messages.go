package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/model"
)

type (
	history struct {
		InChannel
		Limit    int     `query:"limit" default:"50" minimum:"1" maximum:"100" doc:"Maximum number of messages"`
		Before   string  `query:"before" doc:"Only messages before this one (an id) or this time (RFC 3339)"`
		BeforeID chat.ID `query:"before_id" doc:"Only messages before this one"`
		AfterSeq int64   `query:"after_seq" minimum:"0" doc:"The oldest messages after this seq"`
		ParentID chat.ID `query:"parent_id" doc:"Only replies to this message"`
		Pinned   bool    `query:"pinned" doc:"Only pinned messages"`
	}
	// OfMessage is the message in a path.
	OfMessage struct {
		InChannel
		Message chat.ID `path:"message_id" doc:"The message"`
	}
	sendMessage struct {
		InChannel
		Body chat.MessageBody
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

// ContentBody is a message's new content.
type ContentBody struct {
	Content string `json:"content" minLength:"1" max:"content"`
}

// EmojiBody is a reaction.
type EmojiBody struct {
	Emoji string `json:"emoji" minLength:"1" max:"emoji"`
}

// query returns the query that the parameters describe. before is a time or an id,
// because clients of the old system send either.
func (in *history) query() (model.HistoryQuery, error) {
	q := model.HistoryQuery{
		ChannelID: in.ID, Limit: in.Limit, BeforeID: in.BeforeID, AfterSeq: in.AfterSeq, ParentID: in.ParentID,
		Pinned: in.Pinned,
	}
	if err := setBefore(&q, in.Before); err != nil {
		return q, err
	}
	if q.AfterSeq > 0 && (q.BeforeTime != 0 || !q.BeforeID.IsZero()) {
		return q, chat.Invalid("after_seq", "after_seq cannot be combined with before or before_id")
	}
	if q.BeforeTime != 0 && !q.BeforeID.IsZero() {
		q.BeforeTime = 0 // the id is more precise
	}
	return q, nil
}

func setBefore(q *model.HistoryQuery, before string) error {
	if before == "" {
		return nil
	}
	if id, err := chat.ParseID(before); err == nil {
		if q.BeforeID.IsZero() {
			q.BeforeID = id
		}
		return nil
	}
	// A + that was not escaped arrives as a space.
	if q.BeforeTime.UnmarshalText([]byte(strings.ReplaceAll(before, " ", "+"))) != nil {
		return chat.Invalid("before", "before must be a message's id or an RFC 3339 time such as 2026-01-02T15:04:05Z")
	}
	return nil
}

const messagePath = "/channels/{id}/messages/{message_id}"

func messageCall(route, id, summary string) call {
	return call{route: route, id: id, tag: tagMessages, summary: summary}
}

// messageCommand registers a command on a message as a call without a response body:
// METHOD, the message's path and what follows it.
func messageCommand[O any](
	h *handler, method, suffix, name string, run func(context.Context, command.Caller, chat.MessageRequest) (O, error),
) {
	doc := strings.TrimSuffix(command.Table[name].Doc, ".")
	do(h, messageCall(method+" "+messagePath+suffix, operationID(name), doc),
		func(ctx context.Context, a caller, in *OfMessage) error {
			_, err := run(ctx, a.Caller, chat.MessageRequest{ChannelID: in.ID, MessageID: in.Message})
			return err
		})
}

// operationID returns the operation id of a command: deleteMessage for delete_message.
func operationID(command string) string {
	first, rest, _ := strings.Cut(command, "_")
	for word := range strings.SplitSeq(rest, "_") {
		first += strings.ToUpper(word[:1]) + word[1:]
	}
	return first
}

// messageCalls registers the calls about messages.
func (d *handler) messageCalls() {
	s := d.Rules
	messageCommand(d, http.MethodDelete, "", "delete_message", s.DeleteMessage)
	messageCommand(d, http.MethodPut, "/pin", "pin_message", s.PinMessage)
	messageCommand(d, http.MethodDelete, "/pin", "unpin_message", s.UnpinMessage)

	add(d, messageCall("GET /channels/{id}/messages", "listMessages", "Get a page of a channel's messages, newest first"),
		func(ctx context.Context, a caller, in *history) ([]chat.Message, error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			page, err := s.History(ctx, a.Caller, q)
			if d.OldPage {
				slices.Reverse(page) // the old page shows messages in the order in which they arrive
			}
			return page, err
		})
	send := messageCall("POST /channels/{id}/messages", "sendMessage", "Send a message")
	send.status, send.hold = http.StatusCreated, true
	add(d, send, func(ctx context.Context, a caller, in *sendMessage) (*chat.Message, error) {
		sent, err := s.SendMessage(ctx, a.Caller, chat.SendRequest{ChannelID: in.ID, MessageBody: in.Body})
		return sent.Message, err
	})
	add(d, messageCall("GET "+messagePath, "getMessage", "Get a message"),
		func(ctx context.Context, a caller, in *OfMessage) (*chat.Message, error) {
			return s.Message(ctx, a.Caller, in.ID, in.Message)
		})
	add(d, messageCall("PATCH "+messagePath, "editMessage", "Change the content of your own message"),
		func(ctx context.Context, a caller, in *editMessage) (*chat.Message, error) {
			m, _, err := s.EditMessage(ctx, a.Caller, chat.EditRequest{
				ChannelID: in.ID, MessageID: in.Message, Content: in.Body.Content,
			})
			return m, err
		})
	add(d, messageCall("POST "+messagePath+"/reactions", "addReaction", "Add a reaction to a message"),
		func(ctx context.Context, a caller, in *addReaction) (ActionResult, error) {
			reply, err := s.AddReaction(ctx, a.Caller, chat.ReactionRequest{
				ChannelID: in.ID, MessageID: in.Message, Emoji: in.Body.Emoji,
			})
			if reply.Seq == 0 {
				return ActionResult{"Reaction already exists"}, err
			}
			return ActionResult{"Reaction added"}, err
		})
	add(d, messageCall("DELETE "+messagePath+"/reactions/{emoji}", "removeReaction",
		"Remove your reaction from a message"),
		func(ctx context.Context, a caller, in *removeReaction) (ActionResult, error) {
			_, err := s.RemoveReaction(ctx, a.Caller, chat.ReactionRequest{
				ChannelID: in.ID, MessageID: in.Message, Emoji: in.Emoji,
			})
			return ActionResult{"Reaction removed"}, err
		})
}
