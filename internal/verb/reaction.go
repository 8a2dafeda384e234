package verb

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// AddReaction puts the caller's emoji on a message. The seq is 0 when it was there
// already.
func (r *Rules) AddReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	return r.react(ctx, chat.AddReaction, c, in)
}

// RemoveReaction takes the caller's emoji off a message. The seq is 0 when it was
// not there.
func (r *Rules) RemoveReaction(ctx context.Context, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	return r.react(ctx, chat.RemoveReaction, c, in)
}

func (r *Rules) react(ctx context.Context, kind chat.ChangeKind, c Caller, in chat.ReactionRequest) (chat.Seq, error) {
	switch {
	case in.ChannelID.IsZero() || in.MessageID.IsZero() || in.Emoji == "":
		return 0, chat.Errorf(chat.BadRequest, chat.TextMissingFields)
	case len(in.Emoji) > chat.MaxEmoji:
		return 0, chat.Invalid("emoji", "emoji is too long: at most "+itoa(chat.MaxEmoji)+" bytes")
	}
	if err := storable("emoji", in.Emoji); err != nil {
		return 0, err
	}
	change := r.change(kind, c, in.ChannelID)
	change.MessageID, change.Emoji = in.MessageID, in.Emoji
	out, err := r.commit(ctx, change)
	return seqOf(out), err
}

func messageReaction(r *Rules, ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	seq, err := r.AddReaction(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}

func removeReaction(r *Rules, ctx context.Context, c Caller, in chat.ReactionRequest) (chat.StatusReply, error) {
	seq, err := r.RemoveReaction(ctx, c, in)
	return chat.StatusReply{Status: "sent", Seq: seq}, err
}
