package state

import (
	"strings"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
)

// CheckText refuses text in a request's field that not every database can store: PostgreSQL
// stores neither a NUL character nor invalid UTF-8.
func CheckText(field, s string) error {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return chat.Invalid(field, field+" contains a NUL character, which cannot be stored")
	case !utf8.ValidString(s):
		return chat.Invalid(field, field+" is not valid UTF-8")
	}
	return nil
}

func storable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

func storablePointer(s *string) bool { return s == nil || storable(*s) }

var (
	errUnknownKind = chat.Errorf(chat.BadRequest, "Unknown kind of change")
	errNotText     = chat.Errorf(chat.BadRequest, "The text contains a NUL character or is not valid UTF-8")
)

// checkChange refuses a change that a database would reject together with the whole group.
func checkChange(c *Change) error {
	if c.Kind == 0 || c.Kind >= endOfKinds {
		return errUnknownKind
	}
	ok := storable(c.Content) && storable(c.Emoji) && storable(string(c.Actor.User)) && storable(string(c.Subject)) &&
		storable(c.DirectKey) && storablePointer(c.Patch.Name) && storablePointer(c.Patch.Description) &&
		storablePointer(c.Patch.Topic)
	for _, m := range c.Members {
		ok = ok && storable(string(m.UserID))
	}
	if ch := c.Channel; ch != nil {
		ok = ok && storable(ch.Name) && storablePointer(ch.Description) && storablePointer(ch.Topic) &&
			storablePointer(ch.Subject) && storablePointer((*string)(ch.TutorID))
	}
	if !ok || c.Message != nil && !storableMessage(c.Message) {
		return errNotText
	}
	return nil
}

func storableMessage(m *chat.Message) bool {
	ok := storable(m.Content) && storable(m.ClientID) && storable(string(m.MessageType)) &&
		storablePointer(m.FileURL) && storablePointer(m.FileName) && storablePointer(m.FileType)
	for _, u := range m.MentionedUserIDs {
		ok = ok && storable(string(u))
	}
	return ok
}
