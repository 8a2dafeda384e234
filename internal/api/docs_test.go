package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/verb"
)

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// TestEveryPathParameterReachesItsCall: one that is not declared would silently be
// zero in the call.
func TestEveryPathParameterReachesItsCall(t *testing.T) {
	h := (&api.Server{Rules: &verb.Rules{}, Auth: &auth.Authenticator{}, Accounts: &auth.Accounts{}, Door: &auth.Door{}}).Handler()
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
