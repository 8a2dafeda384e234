package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// AddReaction puts the caller's emoji on a message. The seq is 0 when it was there
// already.
func (r *Service) AddReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	return r.react(ctx, state.AddReaction, c, in)
}

// RemoveReaction takes the caller's emoji off a message. The seq is 0 when it was
// not there.
func (r *Service) RemoveReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	return r.react(ctx, state.RemoveReaction, c, in)
}

func (r *Service) react(ctx context.Context, kind state.ChangeKind, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	switch {
	case in.ChannelID.IsZero() || in.MessageID.IsZero() || in.Emoji == "":
		return 0, chat.Errorf(chat.BadRequest, chat.TextMissingFields)
	case len(in.Emoji) > chat.MaxEmoji:
		return 0, chat.Invalid("emoji", "emoji is too long: at most "+itoa(chat.MaxEmoji)+" bytes")
	}
	if err := state.CheckText("emoji", in.Emoji); err != nil {
		return 0, err
	}
	change := r.change(kind, c, in.ChannelID)
	change.MessageID, change.Emoji = in.MessageID, in.Emoji
	out, err := r.commit(ctx, change)
	return seqOf(out), err
}

func messageReaction(r *Service, ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	seq, err := r.AddReaction(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}

func removeReaction(r *Service, ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	seq, err := r.RemoveReaction(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}
