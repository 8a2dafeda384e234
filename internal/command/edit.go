package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// EditMessage gives the caller's own message new content. It returns the message
// as it is now, and the edit's seq, 0 when the content was that already.
func (r *Service) EditMessage(ctx context.Context, c Caller, in chat.EditRequest) (*chat.Message, chat.Seq, error) {
	switch {
	case in.ChannelID.IsZero() || in.MessageID.IsZero() || in.Content == "":
		return nil, 0, chat.Errorf(chat.BadRequest, chat.TextMissingFields)
	case len(in.Content) > chat.MaxContent:
		return nil, 0, &chat.Error{Code: chat.TooLarge, Field: "content", Message: "content is too long: at most " + itoa(chat.MaxContent) + " bytes"}
	}
	if err := state.CheckText("content", in.Content); err != nil {
		return nil, 0, err
	}
	change := r.change(state.EditMessage, c, in.ChannelID)
	change.MessageID, change.Content = in.MessageID, in.Content
	out, err := r.commit(ctx, change)
	if err != nil {
		return nil, 0, err
	}
	return out.Message, seqOf(out), nil
}

// DeleteMessage leaves a tombstone without content. Its author may, and whoever
// manages the channel.
func (r *Service) DeleteMessage(ctx context.Context, c Caller, in chat.MessageRequest) (chat.Seq, error) {
	if in.ChannelID.IsZero() || in.MessageID.IsZero() {
		return 0, chat.Errorf(chat.BadRequest, chat.TextMissingMessage)
	}
	change := r.change(state.DeleteMessage, c, in.ChannelID)
	change.MessageID = in.MessageID
	out, err := r.commit(ctx, change)
	return seqOf(out), err
}

func seqOf(out state.Outcome) chat.Seq {
	if out.Entry == nil {
		return 0
	}
	return out.Entry.Seq
}

func editMessage(r *Service, ctx context.Context, c Caller, in chat.EditRequest) (chat.StatusReply, error) {
	_, seq, err := r.EditMessage(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}

func deleteMessage(r *Service, ctx context.Context, c Caller, in chat.MessageRequest) (chat.StatusReply, error) {
	seq, err := r.DeleteMessage(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}
