package command

import (
	"context"
	"fmt"

	"github.com/chowk-chat/chowk/chat"
)

var resumeFields = fieldsOf[chat.ResumeRequest]()

func resume(_ *Service, ctx context.Context, c Caller, in chat.ResumeRequest) (chat.ResumeReply, error) {
	if err := resumeFields.check(&in); err != nil {
		return chat.ResumeReply{}, err
	}
	for id, seq := range in.Cursors {
		if seq < 0 {
			return chat.ResumeReply{}, chat.Invalid("cursors", fmt.Sprintf("the cursor of channel %s is negative: %d", id, seq))
		}
	}
	resumed, err := c.Socket.Resume(ctx, in.Epoch, in.Cursors)
	if err != nil {
		return chat.ResumeReply{}, err
	}
	return chat.ResumeReply{Status: "resumed", Channels: resumed}, nil
}
