package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

var readFields = fieldsOf[chat.ReadRequest]()

// MarkRead moves the caller's read cursor forward, durably, and notifies the channel.
func (s *Service) MarkRead(ctx context.Context, c Caller, in chat.ReadRequest) (chat.ReadReply, error) {
	if err := readFields.check(&in); err != nil {
		return chat.ReadReply{}, err
	}
	at := s.at()
	out, err := s.Journal.Read(ctx, state.Read{
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
		s.Realtime.PublishReadReceipt(receipt)
	}
	return chat.ReadReply{Status: "sent", LastReadSeq: out.LastReadSeq, UnreadCount: out.UnreadCount}, nil
}

// readReceipt is MarkRead over a socket, where everything cannot be marked at once.
func readReceipt(s *Service, ctx context.Context, c Caller, in chat.ReadRequest) (chat.ReadReply, error) {
	if in.ChannelID.IsZero() || (in.MessageID.IsZero() && in.Seq == 0) {
		return chat.ReadReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingMessage)
	}
	return s.MarkRead(ctx, c, in)
}
