package e2e

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

type poolReport struct {
	Kind string `json:"kind"`
	Max  int    `json:"max"`
	Held []struct {
		Unit       string   `json:"unit"`
		BackendPID int      `json:"backend_pid"`
		TakenBy    []string `json:"taken_by"`
	} `json:"held"`
	Waiting int `json:"waiting"`
}

// TestAdminSeesHoldersOfFullPool checks that the administrator endpoints work while
// every connection of the pool is in use.
func TestAdminSeesHoldersOfFullPool(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "pool.size=3", "pool.overflow=0", "db.hold-hard=30s", "db.slow-query=1ms")
	sign := func(email string) string {
		return s.must(http.StatusCreated, http.MethodPost, "/auth/signup", "", map[string]any{
			"email": email, "password": "Sup3rsecret", "first_name": "A", "last_name": "L",
		}).field(t, "access_token")
	}
	admin, other := sign("ada@example.org"), sign("bob@example.org")
	if r := s.request(http.MethodGet, "/admin/pool", other, nil); r.status != http.StatusForbidden {
		t.Errorf("a user who is not an administrator: status %d, want 403: %s", r.status, r.body)
	}
	var quiet poolReport
	s.must(http.StatusOK, http.MethodGet, "/admin/pool", admin, nil).into(t, &quiet)
	if quiet.Kind != "postgres" || quiet.Max != 2 {
		t.Errorf("the pool is %s with %d connections, want postgres with 2", quiet.Kind, quiet.Max)
	}
	// A log-in that is not cached yet.
	admin = s.must(http.StatusOK, http.MethodPost, "/auth/login", "", map[string]any{
		"email": "ada@example.org", "password": "Sup3rsecret",
	}).field(t, "access_token")
	unlock := pgtest.Lock(t, pg.URL(), "channels")
	var calls sync.WaitGroup
	defer calls.Wait()
	defer unlock()
	full := false
	for end := time.Now().Add(20 * time.Second); !full && time.Now().Before(end); {
		for range 4 {
			calls.Go(func() { s.request(http.MethodGet, "/channels", other, nil) })
		}
		var r poolReport
		s.must(http.StatusOK, http.MethodGet, "/admin/pool", admin, nil).into(t, &r)
		full = len(r.Held) == 2 && r.Held[0].Unit == "channels" && r.Held[0].BackendPID > 0 && len(r.Held[0].TakenBy) > 1
	}
	if !full {
		t.Error("the pool was never reported full")
	}
	if status, body := fetch(t, s.ops+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz while the pool is full: status %d, want 200: %s", status, body)
	}
	unlock()
	calls.Wait()
	var slow []struct{ Name, SQL, Plan string }
	s.must(http.StatusOK, http.MethodGet, "/admin/slow-queries", admin, nil).into(t, &slow)
	// On a busy machine a statement of the start may have been slower.
	if !slices.ContainsFunc(slow, func(q struct{ Name, SQL, Plan string }) bool { return q.Name == "list_channels" }) {
		t.Errorf("list_channels is not among the slow queries: %+v", slow)
	}
	if r := s.request(http.MethodGet, "/admin/slow-queries", other, nil); r.status != http.StatusForbidden {
		t.Errorf("a user who is not an administrator: status %d, want 403: %s", r.status, r.body)
	}
}
