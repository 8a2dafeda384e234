package chat

import (
	"fmt"
	"reflect"
)

// EventType is the type of an event: of what the server sends.
type EventType string

// The types of events. Each has a line in the table below.
const (
	EventConnection      EventType = "connection"
	EventAck             EventType = "ack"
	EventError           EventType = "error"
	EventMessage         EventType = "message"
	EventMessageUpdated  EventType = "message_updated"
	EventMessageDeleted  EventType = "message_deleted"
	EventMessageReaction EventType = "message_reaction"
	EventReactionRemoved EventType = "reaction_removed"
	EventMessagePinned   EventType = "message_pinned"
	EventMessageUnpinned EventType = "message_unpinned"
	EventTyping          EventType = "typing"
	EventReadReceipt     EventType = "read_receipt"
	EventPresence        EventType = "presence"
	EventChannelJoined   EventType = "channel_joined"
	EventChannelLeft     EventType = "channel_left"
	EventChannelUpdated  EventType = "channel_updated"
	EventMemberJoined    EventType = "member_joined"
	EventMemberLeft      EventType = "member_left"
	EventMemberUpdated   EventType = "member_updated"
	EventNotice          EventType = "notice"
	EventPong            EventType = "pong"
)

// EventKind is how events of a type reach clients.
type EventKind uint8

const (
	// LogEvent is an entry of a channel's log: it has a seq, it is stored, and every
	// member receives it once, in order.
	LogEvent EventKind = iota + 1
	// PersonalEvent is only sent as the personal form of another type's entry. It has
	// the entry's seq.
	PersonalEvent
	// TransientEvent is the latest state of something. It has no seq, it is not
	// stored, and a slow socket may miss it.
	TransientEvent
	// SocketEvent concerns one socket: the answer to a command, or its connection.
	SocketEvent
)

// EventSpec is a line of the table of events.
type EventSpec struct {
	Type EventType
	Kind EventKind
	// Doc describes the event to authors of clients, in Markdown.
	Doc string
	// Fields are what an entry carries, in the order in which they are sent.
	Fields []Field
	// Frame is the type of an event that is not an entry.
	Frame reflect.Type
	// Recipient returns the user who receives an entry in another form, of type
	// Personal; "" if there is none.
	Recipient func(*Entry) UserID
	Personal  EventType
	// Joins and Leaves return whose membership begins or ends with an entry.
	Joins  func(*Entry) []UserID
	Leaves func(*Entry) UserID
}

// events is the table of events: everything about a type that is not in a function of
// its own is in its line.
var events = []EventSpec{
	{
		Type: EventMessage, Kind: LogEvent, Fields: []Field{dataField},
		Recipient: sender, Personal: EventMessage,
		Doc: "A new message, in `data`. Only the sender's own sockets receive its `client_id`.",
	},
	{
		Type: EventMessageUpdated, Kind: LogEvent, Fields: []Field{messageIDField, userField, contentField},
		Doc: "A message has new `content`.",
	},
	{
		Type: EventMessageDeleted, Kind: LogEvent, Fields: []Field{messageIDField, userField},
		Doc: "A message was deleted, by its author or by someone who manages the channel.",
	},
	{
		Type: EventMessageReaction, Kind: LogEvent, Fields: []Field{messageIDField, userField, emojiField, countField},
		Doc: "A user added a reaction to a message.",
	},
	{
		Type: EventReactionRemoved, Kind: LogEvent, Fields: []Field{messageIDField, userField, emojiField, countField},
		Doc: "A user removed their reaction from a message.",
	},
	{
		Type: EventMessagePinned, Kind: LogEvent, Fields: []Field{messageIDField, userField},
		Doc: "A message was pinned.",
	},
	{
		Type: EventMessageUnpinned, Kind: LogEvent, Fields: []Field{messageIDField, userField},
		Doc: "A message is no longer pinned. A pinned message that is deleted is no longer pinned either.",
	},
	{
		Type: EventMemberJoined, Kind: LogEvent, Fields: []Field{subjectField, roleField},
		Recipient: subject, Personal: EventChannelJoined, Joins: subjects,
		Doc: "A user became a member. The user themselves receives `channel_joined` instead.",
	},
	{
		Type: EventMemberLeft, Kind: LogEvent, Fields: []Field{subjectField},
		Recipient: subject, Personal: EventChannelLeft, Leaves: subject,
		Doc: "A member left or was removed. The user themselves receives `channel_left` instead.",
	},
	{
		Type: EventMemberUpdated, Kind: LogEvent, Fields: []Field{subjectField, roleField},
		Doc: "A member has another `role`.",
	},
	{
		Type: EventChannelJoined, Kind: LogEvent, Fields: []Field{channelField}, Joins: initialMembers,
		Doc: "You became a member of the `channel`.",
	},
	{
		Type: EventChannelLeft, Kind: PersonalEvent,
		Doc: "You are no longer a member of the channel.",
	},
	{
		Type: EventChannelUpdated, Kind: LogEvent, Fields: []Field{channelField},
		Doc: "The `channel` changed; this is its new state.",
	},
	{
		Type: EventTyping, Kind: TransientEvent, Frame: reflect.TypeFor[TypingFrame](),
		Doc: "A user started or stopped typing. At most once a second for each user, and never to the user themselves.",
	},
	{
		Type: EventReadReceipt, Kind: TransientEvent, Frame: reflect.TypeFor[ReadReceiptFrame](),
		Doc: "How far a user has read.",
	},
	{
		Type: EventPresence, Kind: TransientEvent, Frame: reflect.TypeFor[PresenceFrame](),
		Doc: "A user whom this socket watches came online or went offline. At most once a second for each user.",
	},
	{
		Type: EventConnection, Kind: SocketEvent, Frame: reflect.TypeFor[ConnectionFrame](),
		Doc: "The first event on every socket.",
	},
	{
		Type: EventAck, Kind: SocketEvent, Frame: reflect.TypeFor[Ack](),
		Doc: "A command was carried out. Clients of the old system also receive it when a command was refused.",
	},
	{
		Type: EventError, Kind: SocketEvent, Frame: reflect.TypeFor[ErrorFrame](),
		Doc: "A command was refused, or could not be read.",
	},
	{
		Type: EventPong, Kind: SocketEvent, Frame: reflect.TypeFor[PongFrame](),
		Doc: "The answer to a `ping`.",
	},
	{
		Type: EventNotice, Kind: SocketEvent, Frame: reflect.TypeFor[NoticeFrame](),
		Doc: "`draining`: the server is shutting down; reconnect after `reconnect_after_ms`, or it closes the socket " +
			"with 1012 shortly afterwards. `token_expiring`: the token expires within a minute, and the socket closes " +
			"with 4001; reconnect with a new token.",
	},
}

func subject(e *Entry) UserID          { return e.Subject }
func subjects(e *Entry) []UserID       { return []UserID{e.Subject} }
func initialMembers(e *Entry) []UserID { return e.InitialMembers }

// sender returns the author of a message that has a client_id.
func sender(e *Entry) UserID {
	if e.Message.ClientID == "" {
		return ""
	}
	return e.UserID
}

// Events returns the table of events.
func Events() []EventSpec { return events }

var eventSpecs = indexEvents(events)

// indexEvents panics if a line of the table is incomplete, so that no program starts
// with it.
func indexEvents(all []EventSpec) map[EventType]*EventSpec {
	index := make(map[EventType]*EventSpec, len(all))
	for i := range all {
		if index[all[i].Type] != nil {
			panic(fmt.Sprintf("chat: two lines for the event %s", all[i].Type))
		}
		index[all[i].Type] = &all[i]
	}
	for _, s := range all {
		if what := s.missing(index); what != "" {
			panic(fmt.Sprintf("chat: the line of the event %s has %s", s.Type, what))
		}
	}
	return index
}

// missing names what the line lacks, "" if it is complete.
func (s *EventSpec) missing(index map[EventType]*EventSpec) string {
	isEntry := s.Kind == LogEvent || s.Kind == PersonalEvent
	switch {
	case s.Type == "" || s.Kind == 0:
		return "no type or kind"
	case s.Doc == "":
		return "no description"
	case isEntry != (s.Frame == nil):
		return "a frame and is an entry, or neither"
	case !isEntry && (len(s.Fields) > 0 || s.Recipient != nil || s.Joins != nil || s.Leaves != nil):
		return "what only entries have"
	case s.Kind == LogEvent && len(s.Fields) == 0:
		return "no fields"
	case (s.Recipient == nil) != (s.Personal == ""):
		return "a recipient without a personal form, or the reverse"
	case s.Personal != "" && index[s.Personal] == nil:
		return "a personal form that has no line"
	}
	for _, f := range s.Fields {
		f.StructField()
	}
	return ""
}

// specOf returns the line of a type that this program made an entry of.
func specOf(t EventType) *EventSpec {
	s := eventSpecs[t]
	if s == nil {
		panic("chat: no line for the event " + string(t))
	}
	return s
}
