// Package schema checks what goes over the wire against JSON Schemas. They are generated
// from the tables of commands and events (see internal/protocolgen), so a change of the
// wire is a change of the schemas, which a review sees.
package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Files are the schemas: client/TYPE.json for commands, server/TYPE.json for events, and
// common.json, to which they refer.
//
//go:embed common.json client/*.json server/*.json
var Files embed.FS

// base is the start of every schema's $id. It only names the schemas: nothing is fetched
// from it.
const base = "https://chowk.chat/schema/"

// ValidateServerFrame fails t unless raw is an event as a server may send it.
func ValidateServerFrame(t testing.TB, raw []byte) {
	t.Helper()
	if err := check("server", raw); err != nil {
		t.Errorf("an event breaks the protocol: %v\n%s", err, raw)
	}
}

// ValidateClientFrame fails t unless raw is a command as a client may send it.
func ValidateClientFrame(t testing.TB, raw []byte) {
	t.Helper()
	if err := check("client", raw); err != nil {
		t.Errorf("a command breaks the protocol: %v\n%s", err, raw)
	}
}

func check(side string, raw []byte) error {
	frame, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("read its type: %w", err)
	}
	all, err := compiled()
	if err != nil {
		return err
	}
	s, ok := all[side+"/"+head.Type]
	if !ok {
		return fmt.Errorf("no message of the %s has the type %q", side, head.Type)
	}
	if err := s.Validate(frame); err != nil {
		return fmt.Errorf("validate %s: %w", head.Type, err)
	}
	return nil
}

// compiled returns the schemas by side and type.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	var names []string
	for _, dir := range []string{".", "client", "server"} {
		entries, err := Files.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list schemas: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			name := path.Join(dir, e.Name())
			if err := add(c, name); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if dir != "." {
				names = append(names, name)
			}
		}
	}
	all := make(map[string]*jsonschema.Schema, len(names))
	for _, name := range names {
		s, err := c.Compile(base + name)
		if err != nil {
			return nil, fmt.Errorf("compile %s: %w", name, err)
		}
		all[strings.TrimSuffix(name, ".json")] = s
	}
	return all, nil
})

func add(c *jsonschema.Compiler, name string) error {
	f, err := Files.Open(name)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	if err := c.AddResource(base+name, doc); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	return nil
}
