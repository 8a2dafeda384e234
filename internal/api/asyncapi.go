package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

type object map[string]any

// asyncAPI describes the messages on a socket as AsyncAPI 3.0. It follows from the
// table of commands and the table of events.
func asyncAPI() ([]byte, error) {
	a := &asyncDoc{schemas: newRegistry(), messages: object{}, operations: object{}}
	for _, c := range command.Commands() {
		a.command(c)
	}
	a.ping()
	for _, e := range chat.Events() {
		a.event(e)
	}
	completeSchemas(a.schemas)
	return json.MarshalIndent(a.document(), "", "  ")
}

// asyncDoc collects the messages of an AsyncAPI document and the operations that send
// and receive them.
type asyncDoc struct {
	schemas              huma.Registry
	messages, operations object
}

func (a *asyncDoc) document() object {
	inSocket := object{}
	for name := range a.messages {
		inSocket[name] = ref("#/components/messages/", name)
	}
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "chowk", "version": "1",
			"description": "The messages on a WebSocket to /api/v1/ws with the subprotocol " + chat.Protocol +
				". openapi.json describes the REST API.",
		},
		"defaultContentType": "application/json",
		"channels":           object{"socket": object{"address": prefix + "/ws", "messages": inSocket}},
		"operations":         a.operations,
		"components":         object{"messages": a.messages, "schemas": a.schemas.Map()},
	}
}

func ref(where, name string) object { return object{"$ref": where + name} }

func socketRef() object { return ref("#/channels/", "socket") }

func messageRef(name string) object { return ref("#/channels/socket/messages/", name) }

// message adds a message: the fields of t, if it is not nil, and the given ones.
func (a *asyncDoc) message(name, doc string, t reflect.Type, fields object) {
	payload := object{"type": "object", "properties": fields, "required": []string{"type"}}
	if t != nil {
		payload = object{"allOf": []any{a.schemas.Schema(t, true, name), payload}}
	}
	m := object{"name": name, "payload": payload}
	if doc != "" {
		m["description"] = doc
	}
	a.messages[name] = m
}

// receives adds an operation: the server receives a message and sends one of the
// replies.
func (a *asyncDoc) receives(name string, replies ...string) {
	var refs []any
	for _, r := range replies {
		refs = append(refs, messageRef(r))
	}
	a.operations[name] = object{
		"action": "receive", "channel": socketRef(), "messages": []any{messageRef(name)},
		"reply": object{"channel": socketRef(), "messages": refs},
	}
}

func (a *asyncDoc) command(c command.Command) {
	ack := c.Name + ".ack"
	a.message(c.Name, c.Doc, nil, object{
		"type": object{"const": c.Name}, "id": commandID(), "data": a.schemas.Schema(c.In, true, c.Name),
	})
	a.message(ack, "", nil, object{
		"type": object{"const": chat.EventAck}, "event": object{"const": c.Name}, "id": commandID(),
		"timestamp": a.schemas.Schema(reflect.TypeFor[chat.Time](), true, ""),
		"response":  a.schemas.Schema(c.Out, true, c.Name),
	})
	a.receives(c.Name, ack, string(chat.EventError))
}

func commandID() object { return object{"type": "string", "maxLength": chat.MaxRequestID} }

func (a *asyncDoc) ping() {
	a.message(command.Ping, command.PingDoc, nil, object{"type": object{"const": command.Ping}, "id": commandID()})
	a.receives(command.Ping, string(chat.EventPong), string(chat.EventError))
}

// event adds an event. Those that reply to a command are part of its operation.
func (a *asyncDoc) event(e chat.EventSpec) {
	name := string(e.Type)
	switch e.Type {
	case chat.EventAck: // one for each command
		return
	case chat.EventError, chat.EventPong:
		a.message(name, e.Doc, e.Frame, a.eventFields(e))
		return
	}
	if _, isCommand := command.Table[name]; isCommand {
		name += ".event" // typing, for one, is both
	}
	a.message(name, e.Doc, e.Frame, a.eventFields(e))
	a.operations["send_"+string(e.Type)] = object{
		"action": "send", "channel": socketRef(), "messages": []any{messageRef(name)},
	}
}

// eventFields returns the schemas of an event's fields. The fields of an event that is
// not an entry are in its frame, except for the type.
func (a *asyncDoc) eventFields(e chat.EventSpec) object {
	fields := object{"type": object{"const": e.Type}}
	if e.Frame != nil {
		return fields
	}
	for name, t := range map[string]reflect.Type{
		"channel_id": reflect.TypeFor[chat.ID](), "seq": reflect.TypeFor[chat.Seq](),
		"timestamp": reflect.TypeFor[chat.Time](),
	} {
		fields[name] = a.schemas.Schema(t, true, "")
	}
	for _, f := range e.Fields {
		fields[f.Name] = a.schemas.Schema(f.StructField().Type, true, "")
	}
	return fields
}

// newRegistry returns a registry in which the types of package chat have schemas.
func newRegistry() huma.Registry {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[chat.ID](), reflect.TypeFor[idText]())
	schemas.RegisterTypeAlias(reflect.TypeFor[chat.Time](), reflect.TypeFor[timeText]())
	return schemas
}
