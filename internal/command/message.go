package command

import (
	"context"

	"github.com/google/uuid"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// Sent is a message as it was committed, Duplicate when an earlier send under the
// same client_id had made it.
type Sent struct {
	Message   *chat.Message
	Duplicate bool
}

// SendMessage commits a message and tells the channel.
func (r *Service) SendMessage(ctx context.Context, c Caller, in chat.SendRequest) (Sent, error) {
	if in.MessageType == "" {
		in.MessageType = chat.Text
	}
	if err := checkSend(in); err != nil {
		return Sent{}, err
	}
	change := r.change(state.SendMessage, c, in.ChannelID)
	if in.ClientID != "" {
		change.ID = messageID(in.ChannelID, c.User, in.ClientID)
	}
	change.Message = &chat.Message{
		ID: change.ID, ChannelID: in.ChannelID, UserID: c.User, Content: in.Content, ClientID: in.ClientID,
		MessageType: in.MessageType, ParentMessageID: in.ParentMessageID, MentionedUserIDs: in.MentionedUserIDs,
		FileInfo:  chat.FileInfo{FileURL: in.FileURL, FileName: in.FileName, FileType: in.FileType, FileSize: in.FileSize},
		CreatedAt: change.At, UpdatedAt: change.At, Reactions: []chat.Reaction{},
	}
	out, err := r.commit(ctx, change)
	if err != nil {
		return Sent{}, err
	}
	return Sent{Message: out.Message, Duplicate: out.Duplicate}, nil
}

// messageID is the id that a client_id stands for: itself when it is a version 7
// UUID in canonical spelling, else one derived from it.
func messageID(channel chat.ID, user chat.UserID, clientID string) chat.ID {
	id, err := chat.ParseID(clientID)
	if err == nil && id.Version() == 7 && uuid.UUID(id).Variant() == uuid.RFC4122 && id.String() == clientID {
		return id
	}
	return chat.IDFromClientID(channel, user, clientID)
}

func checkSend(in chat.SendRequest) error {
	switch {
	case in.ChannelID.IsZero() || in.Content == "":
		return chat.Errorf(chat.BadRequest, chat.TextMissingContent)
	case len(in.Content) > chat.MaxContent:
		return &chat.Error{Code: chat.TooLarge, Field: "content", Message: "content is too long: at most " + itoa(chat.MaxContent) + " bytes"}
	case len(in.ClientID) > chat.MaxClientID:
		return chat.Invalid("client_id", "client_id is too long: at most "+itoa(chat.MaxClientID)+" bytes")
	case !in.MessageType.Valid():
		return chat.Invalid("message_type", "message_type must be one of text, file, image, video, audio, code")
	case in.MessageType == chat.System:
		return chat.Invalid("message_type", "message_type system is the server's own")
	case len(in.MentionedUserIDs) > chat.MaxMentions:
		return chat.Invalid("mentioned_user_ids", "mentioned_user_ids holds too many: at most "+itoa(chat.MaxMentions))
	case len(in.AttachmentIDs) > 0:
		return chat.Invalid("attachment_ids", "attachment_ids is for uploads, which this server does not take; give file_url instead")
	case in.FileSize != nil && *in.FileSize < 0:
		return chat.Invalid("file_size", "file_size must not be negative")
	}
	for _, f := range []struct {
		name  string
		text  *string
		limit int
	}{
		{"content", &in.Content, chat.MaxContent},
		{"client_id", &in.ClientID, chat.MaxClientID},
		{"file_url", in.FileURL, chat.MaxFileURL},
		{"file_name", in.FileName, chat.MaxFileName},
		{"file_type", in.FileType, chat.MaxFileName},
	} {
		if err := optionalText(f.name, f.text, f.limit); err != nil {
			return err
		}
	}
	if err := validUsers("mentioned_user_ids", in.MentionedUserIDs); err != nil {
		return err
	}
	return checkFileURL(in.FileURL)
}

// commit hands a change to the journal and turns a refusal into an error.
func (r *Service) commit(ctx context.Context, change state.Change) (state.Outcome, error) {
	out, err := r.Journal.Commit(ctx, change)
	if err != nil {
		return state.Outcome{}, err
	}
	return out, out.Err
}

func newMessage(r *Service, ctx context.Context, c Caller, in chat.SendRequest) (chat.SendReply, error) {
	sent, err := r.SendMessage(ctx, c, in)
	if err != nil {
		return chat.SendReply{}, err
	}
	m := sent.Message
	return chat.SendReply{Status: "sent", MessageID: m.ID, Seq: m.Seq, CreatedAt: m.CreatedAt, Duplicate: sent.Duplicate}, nil
}
