package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// MarkRead moves the caller's read cursor forward, durably, and tells the channel.
func (r *Service) MarkRead(ctx context.Context, c Caller, in chat.ReadRequest) (chat.ReadReply, error) {
	if in.Seq < 0 {
		return chat.ReadReply{}, chat.Invalid("seq", "seq must not be negative")
	}
	at := r.at()
	out, err := r.Journal.Read(ctx, state.Read{
		ChannelID: in.ChannelID, UserID: c.User, MessageID: in.MessageID, Seq: in.Seq, At: at,
	})
	if err == nil {
		err = out.Err
	}
	if err != nil {
		return chat.ReadReply{}, err
	}
	if out.Moved {
		receipt := chat.ReadReceiptFrame{
			Type: chat.EventReadReceipt, ChannelID: in.ChannelID, UserID: c.User, LastReadSeq: out.LastReadSeq, Timestamp: at,
		}
		if !out.MessageID.IsZero() {
			receipt.MessageID = &out.MessageID
		}
		r.Realtime.PublishReadReceipt(receipt)
	}
	return chat.ReadReply{Status: "sent", LastReadSeq: out.LastReadSeq, UnreadCount: out.UnreadCount}, nil
}

func readReceipt(r *Service, ctx context.Context, c Caller, in chat.ReadRequest) (chat.ReadReply, error) {
	if in.ChannelID.IsZero() || (in.MessageID.IsZero() && in.Seq == 0) {
		return chat.ReadReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingMessage)
	}
	return r.MarkRead(ctx, c, in)
}
