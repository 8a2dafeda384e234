package api

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

// eventTypes are the frames that nobody asked for, by their type.
var eventTypes = map[chat.EventType]reflect.Type{
	chat.EventConnection:      reflect.TypeFor[chat.ConnectionFrame](),
	chat.EventMessage:         reflect.TypeFor[chat.MessageFrame](),
	chat.EventMessageUpdated:  reflect.TypeFor[chat.MessageUpdatedFrame](),
	chat.EventMessageDeleted:  reflect.TypeFor[chat.MessageDeletedFrame](),
	chat.EventMessageReaction: reflect.TypeFor[chat.ReactionFrame](),
	chat.EventReactionRemoved: reflect.TypeFor[chat.ReactionFrame](),
	chat.EventTyping:          reflect.TypeFor[chat.TypingFrame](),
	chat.EventReadReceipt:     reflect.TypeFor[chat.ReadReceiptFrame](),
	chat.EventPresence:        reflect.TypeFor[chat.PresenceFrame](),
	chat.EventChannelJoined:   reflect.TypeFor[chat.ChannelFrame](),
	chat.EventChannelLeft:     reflect.TypeFor[chat.ChannelFrame](),
	chat.EventChannelUpdated:  reflect.TypeFor[chat.ChannelFrame](),
	chat.EventMemberJoined:    reflect.TypeFor[chat.MemberFrame](),
	chat.EventMemberLeft:      reflect.TypeFor[chat.MemberFrame](),
	chat.EventMemberUpdated:   reflect.TypeFor[chat.MemberFrame](),
	chat.EventNotice:          reflect.TypeFor[chat.NoticeFrame](),
}

type object map[string]any

func ref(format string, name any) object { return object{"$ref": fmt.Sprintf(format, name)} }

const (
	socketMessage    = "#/channels/socket/messages/%s"
	componentMessage = "#/components/messages/%s"
)

// asyncAPI describes the socket's events for programs (AsyncAPI 3.0), from the
// table of verbs.
func asyncAPI() ([]byte, error) {
	schemas := newRegistry()
	messages, operations := object{}, object{}
	payload := func(name string, t reflect.Type, fields object) {
		kind := object{"type": "object", "properties": fields, "required": []string{"type"}}
		if t != nil {
			kind = object{"allOf": []any{schemas.Schema(t, true, name), kind}}
		}
		messages[name] = object{"name": name, "payload": kind}
	}
	for name, v := range command.Table {
		payload(name, nil, object{
			"type": object{"const": name}, "id": object{"type": "string", "maxLength": chat.MaxRequestID}, "data": schemas.Schema(v.In, true, name),
		})
		payload(name+".ack", nil, object{
			"type": object{"const": chat.EventAck}, "event": object{"const": name}, "id": object{"type": "string"},
			"timestamp": schemas.Schema(reflect.TypeFor[chat.Time](), true, ""), "response": schemas.Schema(v.Out, true, name),
		})
		operations[name] = asked(name, name+".ack", string(chat.EventError))
	}
	payload("ping", nil, object{"type": object{"const": "ping"}, "id": object{"type": "string", "maxLength": chat.MaxRequestID}})
	payload(string(chat.EventPong), reflect.TypeFor[chat.PongFrame](), object{"type": object{"const": chat.EventPong}})
	payload(string(chat.EventError), reflect.TypeFor[chat.ErrorFrame](), object{"type": object{"const": chat.EventError}})
	operations["ping"] = asked("ping", string(chat.EventPong), string(chat.EventError))
	for kind, t := range eventTypes {
		name := string(kind)
		if command.Table[name].Run != nil {
			name += ".told" // typing, for one, is asked and told
		}
		payload(name, t, object{"type": object{"const": kind}})
		operations["tell_"+string(kind)] = object{
			"action": "send", "channel": ref("#/channels/%s", "socket"), "messages": []any{ref(socketMessage, name)},
		}
	}
	completeSchemas(schemas)
	inSocket := object{}
	for name := range messages {
		inSocket[name] = ref(componentMessage, name)
	}
	return json.MarshalIndent(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "chowk", "version": "1",
			"description": "What goes over the WebSocket at /api/v1/ws with the subprotocol " + chat.Protocol + ". REST is described by openapi.json.",
		},
		"defaultContentType": "application/json",
		"channels":           object{"socket": object{"address": prefix + "/ws", "messages": inSocket}},
		"operations":         operations,
		"components":         object{"messages": messages, "schemas": schemas.Map()},
	}, "", "  ")
}

// asked is an event that clients send, with the answers that it may get.
func asked(name string, answers ...string) object {
	var replies []any
	for _, a := range answers {
		replies = append(replies, ref(socketMessage, a))
	}
	return object{
		"action": "receive", "channel": ref("#/channels/%s", "socket"), "messages": []any{ref(socketMessage, name)},
		"reply": object{"channel": ref("#/channels/%s", "socket"), "messages": replies},
	}
}

// newRegistry makes schemas of our types.
func newRegistry() huma.Registry {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[chat.ID](), reflect.TypeFor[idText]())
	schemas.RegisterTypeAlias(reflect.TypeFor[chat.Time](), reflect.TypeFor[timeText]())
	return schemas
}
