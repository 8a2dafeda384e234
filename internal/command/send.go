package command

import (
	"context"
	"net/url"

	"github.com/google/uuid"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// Sent is a committed message. Duplicate is true if an earlier send with the same
// client_id created it.
type Sent struct {
	Message   *chat.Message
	Duplicate bool
}

// SendMessage commits a message and sends it to the channel.
func (s *Service) SendMessage(ctx context.Context, c Caller, in chat.SendRequest) (Sent, error) {
	if in.MessageType == "" {
		in.MessageType = chat.Text
	}
	if err := checkSend(c, &in); err != nil {
		return Sent{}, err
	}
	change := s.change(state.SendMessage, c, in.ChannelID)
	if in.ClientID != "" {
		change.ID = messageID(in.ChannelID, c.User, in.ClientID)
	}
	change.Message = &chat.Message{
		ID: change.ID, ChannelID: in.ChannelID, UserID: c.User, Content: in.Content, ClientID: in.ClientID,
		MessageType: in.MessageType, ParentMessageID: in.ParentMessageID, MentionedUserIDs: in.MentionedUserIDs,
		FileInfo: chat.FileInfo{
			FileURL: in.FileURL, FileName: in.FileName, FileType: in.FileType, FileSize: in.FileSize,
		},
		CreatedAt: change.At, UpdatedAt: change.At, Reactions: []chat.Reaction{},
	}
	out, err := s.commit(ctx, change)
	if err != nil {
		return Sent{}, err
	}
	return Sent{Message: out.Message, Duplicate: out.Duplicate}, nil
}

// messageID returns the id that a client_id stands for: the client_id itself if it is a
// version 7 UUID in canonical spelling, otherwise one derived from it.
func messageID(channel chat.ID, user chat.UserID, clientID string) chat.ID {
	id, err := chat.ParseID(clientID)
	if err == nil && id.Version() == 7 && uuid.UUID(id).Variant() == uuid.RFC4122 && id.String() == clientID {
		return id
	}
	return chat.IDFromClientID(channel, user, clientID)
}

var sendFields = fieldsOf[chat.SendRequest]()

func checkSend(c Caller, in *chat.SendRequest) error {
	switch {
	case in.ChannelID.IsZero():
		return chat.Errorf(chat.BadRequest, chat.TextMissingContent)
	case in.Content == "":
		return missing(c, "content", chat.TextMissingContent)
	case len(in.AttachmentIDs) > 0:
		return chat.Invalid("attachment_ids", "attachment_ids is for uploads, which this server does not support; "+
			"use file_url instead")
	}
	if err := sendFields.check(in); err != nil {
		return err
	}
	return checkFileURL(in.FileURL)
}

// checkFileURL accepts only links that a page can show without running them.
func checkFileURL(s *string) error {
	if s == nil {
		return nil
	}
	u, err := url.Parse(*s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "") {
		return chat.Invalid("file_url", "file_url must be an http or https URL, or a path")
	}
	return nil
}

func newMessage(s *Service, ctx context.Context, c Caller, in chat.SendRequest) (chat.SendReply, error) {
	sent, err := s.SendMessage(ctx, c, in)
	if err != nil {
		return chat.SendReply{}, err
	}
	m := sent.Message
	return chat.SendReply{
		Status: "sent", MessageID: m.ID, Seq: m.Seq, CreatedAt: m.CreatedAt, Duplicate: sent.Duplicate,
	}, nil
}
