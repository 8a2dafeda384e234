package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

// The marks between which a table of docs/protocol.md is generated.
const (
	tableBegin = "<!-- %s: written by go generate ./internal/protocolgen -->\n"
	tableEnd   = "<!-- end -->\n"
)

// tables are the tables of docs/protocol.md by their name in the mark.
var tables = map[string]func() string{
	"commands":         commandTable,
	"log events":       func() string { return eventTable(chat.LogEvent, chat.PersonalEvent) },
	"transient events": func() string { return eventTable(chat.TransientEvent) },
	"socket events":    func() string { return eventTable(chat.SocketEvent) },
	"error codes":      codeTable,
	"close codes":      closeTable,
	"limits":           limitTable,
}

// protocolPage returns the page with its tables written again.
func protocolPage(page []byte) ([]byte, error) {
	for name, table := range tables {
		begin := fmt.Sprintf(tableBegin, name)
		before, rest, found := bytes.Cut(page, []byte(begin))
		if !found {
			return nil, fmt.Errorf("the page has no table of %s: %q is missing", name, begin)
		}
		_, after, found := bytes.Cut(rest, []byte(tableEnd))
		if !found {
			return nil, fmt.Errorf("the table of %s does not end with %q", name, tableEnd)
		}
		page = slices.Concat(before, []byte(begin+table()+tableEnd), after)
	}
	return page, nil
}

func commandTable() string {
	var b strings.Builder
	b.WriteString("| `type` | what it does | `data` | the ack's `response` |\n| --- | --- | --- | --- |\n")
	for _, c := range command.Commands() {
		data := fieldList(fieldsOf(c.In))
		if len(c.AnyOf) > 0 {
			data += " (at least one of " + strings.Join(codes(c.AnyOf), ", ") + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, c.Doc, data, fieldList(fieldsOf(c.Out)))
	}
	fmt.Fprintf(&b, "| `%s` | %s | none | none: it gets a `pong` |\n", command.Ping, command.PingDoc)
	return b.String()
}

func codes(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = "`" + name + "`"
	}
	return all
}

// fieldList names fields: those that are required, then those that are optional.
func fieldList(fields []field) string {
	var required, optional []string
	for _, f := range fields {
		text := "`" + f.name + "`"
		if values := f.values(); values != nil {
			text += " (" + strings.Join(codes(values), " ") + ")"
		}
		if f.optional {
			optional = append(optional, text)
		} else {
			required = append(required, text)
		}
	}
	text := strings.Join(required, ", ")
	if len(optional) > 0 {
		if text != "" {
			text += "; "
		}
		text += "optional " + strings.Join(optional, ", ")
	}
	return text
}

func eventTable(kinds ...chat.EventKind) string {
	var b strings.Builder
	b.WriteString("| `type` | what happened | fields |\n| --- | --- | --- |\n")
	for _, e := range chat.Events() {
		if !slices.Contains(kinds, e.Kind) {
			continue
		}
		fields := slices.DeleteFunc(eventFields(e), func(f field) bool {
			return f.name == "type" || e.Frame == nil && (f.name == "seq" || f.name == "timestamp" || f.name == "channel_id")
		})
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Type, e.Doc, fieldList(fields))
	}
	return b.String()
}

func codeTable() string {
	var b strings.Builder
	b.WriteString("| code | REST | what it means |\n| --- | --- | --- |\n")
	for _, c := range chat.Codes() {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", c.Code, c.Status, c.Doc)
	}
	return b.String()
}

func closeTable() string {
	var b strings.Builder
	b.WriteString("| code | why |\n| --- | --- |\n")
	for _, c := range chat.Closes() {
		fmt.Fprintf(&b, "| %d | %s |\n", c.Code, c.Doc)
	}
	return b.String()
}

func limitTable() string {
	var b strings.Builder
	b.WriteString("| what | at most |\n| --- | --- |\n")
	for _, l := range chat.Limits() {
		fmt.Fprintf(&b, "| %s | %s |\n", l.Doc, strings.TrimSpace(fmt.Sprint(l.Max, " ", l.Unit)))
	}
	return b.String()
}
