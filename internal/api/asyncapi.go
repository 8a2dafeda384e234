package api

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

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
			"type": object{"const": name}, "id": object{"type": "string", "maxLength": chat.MaxRequestID},
			"data": schemas.Schema(v.In, true, name),
		})
		payload(name+".ack", nil, object{
			"type": object{"const": chat.EventAck}, "event": object{"const": name}, "id": object{"type": "string"},
			"timestamp": schemas.Schema(reflect.TypeFor[chat.Time](), true, ""), "response": schemas.Schema(v.Out, true, name),
		})
		operations[name] = asked(name, name+".ack", string(chat.EventError))
	}
	payload("ping", nil, object{
		"type": object{"const": "ping"}, "id": object{"type": "string", "maxLength": chat.MaxRequestID},
	})
	payload(string(chat.EventPong), reflect.TypeFor[chat.PongFrame](), object{"type": object{"const": chat.EventPong}})
	payload(string(chat.EventError), reflect.TypeFor[chat.ErrorFrame](), object{"type": object{"const": chat.EventError}})
	operations["ping"] = asked("ping", string(chat.EventPong), string(chat.EventError))
	for _, e := range chat.Events() {
		name := string(e.Type)
		switch e.Type {
		case chat.EventAck, chat.EventError, chat.EventPong: // the replies to commands
			continue
		}
		if command.Table[name].Run != nil {
			name += ".told" // typing, for one, is asked and told
		}
		payload(name, e.Frame, eventFields(schemas, e))
		operations["tell_"+string(e.Type)] = object{
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
			"description": "What goes over the WebSocket at /api/v1/ws with the subprotocol " + chat.Protocol +
				". REST is described by openapi.json.",
		},
		"defaultContentType": "application/json",
		"channels":           object{"socket": object{"address": prefix + "/ws", "messages": inSocket}},
		"operations":         operations,
		"components":         object{"messages": messages, "schemas": schemas.Map()},
	}, "", "  ")
}

// eventFields returns the schemas of an event's fields. Those of an event that is not
// an entry are in its frame, except for the type.
func eventFields(schemas huma.Registry, e chat.EventSpec) object {
	fields := object{"type": object{"const": e.Type}}
	if e.Frame != nil {
		return fields
	}
	fields["channel_id"] = schemas.Schema(reflect.TypeFor[chat.ID](), true, "")
	fields["seq"] = schemas.Schema(reflect.TypeFor[chat.Seq](), true, "")
	fields["timestamp"] = schemas.Schema(reflect.TypeFor[chat.Time](), true, "")
	for _, f := range e.Fields {
		fields[f.Name] = schemas.Schema(f.StructField().Type, true, "")
	}
	return fields
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
