package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/internal/api"
	table "github.com/chowk-chat/chowk/internal/command"
)

// inTemplate matches a parameter in the template of a path.
var inTemplate = regexp.MustCompile(`\\\{\w+\\\}`)

// TestPermissionMatrixIsComplete checks that the matrix tries every command, and every
// REST call on a channel.
func TestPermissionMatrixIsComplete(t *testing.T) {
	marks := cell{channel: "c", mine: "m", others: "o", spare: "s", fresh: "f"}
	commands, calls := make(map[string]bool), make(map[string]bool)
	for _, o := range operations {
		if o.socket != nil {
			name, _ := o.socket(marks)
			commands[name] = true
		}
		if o.rest != nil {
			method, path, _ := o.rest(marks, "me")
			calls[method+" "+path] = true
		}
	}
	for _, c := range table.Commands() {
		if !commands[c.Name] && c.Name != "resume" { // its tests are in resume_test.go
			t.Errorf("no operation tries the command %s", c.Name)
		}
	}
	for path, item := range api.Describe().Paths {
		path = strings.TrimPrefix(path, "/api/v1")
		if !strings.HasPrefix(path, "/channels/{id}") && !strings.HasPrefix(path, "/channel/{id}") {
			continue
		}
		pattern := regexp.MustCompile("^" + inTemplate.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method, described := range map[string]bool{
			"GET": item.Get != nil, "POST": item.Post != nil, "PUT": item.Put != nil,
			"PATCH": item.Patch != nil, "DELETE": item.Delete != nil,
		} {
			if described && !tried(calls, method, pattern) {
				t.Errorf("no operation tries the call %s %s", method, path)
			}
		}
	}
}

// tried reports whether one of the calls has the method and a path that matches.
func tried(calls map[string]bool, method string, path *regexp.Regexp) bool {
	for call := range calls {
		if rest, ok := strings.CutPrefix(call, method+" "); ok && path.MatchString(rest) {
			return true
		}
	}
	return false
}
