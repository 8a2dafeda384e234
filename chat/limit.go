package chat

import "reflect"

// The bounds on what users may send. The line of each in the table below describes it.
const (
	MaxContent     = 16 << 10
	MaxClientID    = 64
	MaxRequestID   = 64
	MaxMentions    = 50
	MaxEmoji       = 50
	MaxReactions   = 50
	MaxPins        = 100
	MaxName        = 100
	MaxDescription = 2000
	MaxTopic       = 250
	MaxAddMembers  = 100
	MaxHistory     = 100
	MaxPresence    = 500
	MaxCursors     = 10_000
	MaxFileURL     = 2048
	MaxFileName    = 255
)

// Limit is a line of the table of limits. The tag `max:"NAME"` on a field of a request
// names the limit of the field.
type Limit struct {
	Name string
	Max  int
	Unit Unit
	Doc  string
}

// Unit is what a limit counts.
type Unit string

// The units.
const (
	Bytes      Unit = "bytes"
	Characters Unit = "characters"
	Items      Unit = ""
)

var limits = []Limit{
	{"content", MaxContent, Bytes, "content of a message"},
	{"client_id", MaxClientID, Bytes, "`client_id`"},
	{"request_id", MaxRequestID, Bytes, "`id` of a command"},
	{"mentions", MaxMentions, Items, "users mentioned in a message"},
	{"emoji", MaxEmoji, Bytes, "an emoji"},
	{"reactions", MaxReactions, Items, "different emoji on a message"},
	{"pins", MaxPins, Items, "pinned messages in a channel"},
	{"name", MaxName, Characters, "a channel's name"},
	{"description", MaxDescription, Characters, "a channel's description"},
	{"topic", MaxTopic, Characters, "a channel's topic or subject"},
	{"add_members", MaxAddMembers, Items, "members added in one call"},
	{"history", MaxHistory, Items, "messages in a page of history"},
	{"presence", MaxPresence, Items, "users watched by one socket"},
	{"cursors", MaxCursors, Items, "channels in a resume"},
	{"file_url", MaxFileURL, Characters, "a file's URL"},
	{"file_name", MaxFileName, Characters, "a file's name or type"},
}

// Limits returns the table of limits.
func Limits() []Limit { return limits }

// LimitOf returns the limit that a field's max tag names; ok is false if it has none.
// It panics if the table has no such limit.
func LimitOf(f reflect.StructField) (l Limit, ok bool) {
	name, ok := f.Tag.Lookup("max")
	if !ok {
		return Limit{}, false
	}
	for _, l := range limits {
		if l.Name == name {
			return l, true
		}
	}
	panic("chat: " + f.Name + " has the unknown limit " + name)
}
