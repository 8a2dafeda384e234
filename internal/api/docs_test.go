package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/test/schema"
)

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// TestEveryPathParameterReachesItsCall: one that is not declared would silently be
// zero in the call.
func TestEveryPathParameterReachesItsCall(t *testing.T) {
	h := (&api.Server{
		Rules: &command.Service{}, Auth: &auth.Authenticator{}, Accounts: &auth.Accounts{}, Door: &auth.OriginPolicy{},
	}).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	var spec struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	if len(spec.Paths) < 20 {
		t.Fatalf("%d paths are described", len(spec.Paths))
	}
	for path, calls := range spec.Paths {
		for method, c := range calls {
			var declared []string
			for _, p := range c.Parameters {
				if p.In == "path" {
					declared = append(declared, p.Name)
				}
			}
			for _, name := range inPath.FindAllStringSubmatch(path, -1) {
				if !slices.Contains(declared, name[1]) {
					t.Errorf("%s %s: {%s} is bound to nothing", method, path, name[1])
				}
			}
		}
	}
}

// TestMessagesAreDescribed: every command and event has a message in the AsyncAPI
// document, with the fields of its JSON Schema.
func TestMessagesAreDescribed(t *testing.T) {
	h := (&api.Server{
		Rules: &command.Service{}, Auth: &auth.Authenticator{}, Accounts: &auth.Accounts{}, Door: &auth.OriginPolicy{},
	}).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/asyncapi.json", nil))
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, pointer := range refsIn(doc) {
		if follow(doc, pointer) == nil {
			t.Errorf("%s leads nowhere", pointer)
		}
	}
	for _, side := range []string{"client", "server"} {
		entries, err := schema.Files.ReadDir(side)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".json")
			if side == "server" && name == "ack" {
				continue // there is one for each event
			}
			raw, err := schema.Files.ReadFile(side + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			var wanted map[string]any
			if err := json.Unmarshal(raw, &wanted); err != nil {
				t.Fatal(err)
			}
			message := name
			if side == "server" && follow(doc, "#/components/messages/"+name+".event") != nil {
				message += ".event"
			}
			payload := follow(doc, "#/components/messages/"+message+"/payload")
			if payload == nil {
				t.Errorf("%s %s is not described", side, name)
				continue
			}
			described := fieldsIn(doc, payload)
			for field := range wanted["properties"].(map[string]any) {
				if !described[field] {
					t.Errorf("%s %s: %s is not described", side, name, field)
				}
			}
		}
	}
}

func refsIn(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			if s, ok := sub.(string); ok && k == "$ref" {
				refs = append(refs, s)
			}
			refs = append(refs, refsIn(sub)...)
		}
	case []any:
		for _, sub := range v {
			refs = append(refs, refsIn(sub)...)
		}
	}
	return refs
}

func follow(doc map[string]any, pointer string) any {
	var v any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		object, _ := v.(map[string]any)
		v = object[part]
	}
	return v
}

// fieldsIn are the names that a payload may have.
func fieldsIn(doc map[string]any, v any) map[string]bool {
	fields := make(map[string]bool)
	object, _ := v.(map[string]any)
	if pointer, ok := object["$ref"].(string); ok {
		object, _ = follow(doc, pointer).(map[string]any)
	}
	properties, _ := object["properties"].(map[string]any)
	for name := range properties {
		fields[name] = true
	}
	all, _ := object["allOf"].([]any)
	for _, part := range all {
		for name := range fieldsIn(doc, part) {
			fields[name] = true
		}
	}
	return fields
}
