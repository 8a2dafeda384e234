package doctor

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// healthy returns a subject without a fault on this database.
func healthy(t *testing.T, url string) Subject {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return Subject{
		DatabaseURL: url, Nodes: 2, PoolMax: 30, DataPath: t.TempDir(), Heartbeat: 30 * time.Second,
		Machine: Machine{Descriptors: 1 << 20, MemoryFree: 8 << 30, Backlog: 4096},
	}
}

func sqlite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "chowk.db") }

// findings returns the problems by their check.
func findings(t *testing.T, s Subject) map[string]Finding {
	t.Helper()
	bad := make(map[string]Finding)
	for _, f := range Examine(t.Context(), s).Findings {
		if f.Status == Warning || f.Status == Failure {
			bad[f.Check] = f
		}
	}
	return bad
}

// expect checks that this check alone found a problem, with these words and advice.
func expect(t *testing.T, s Subject, check string, status Status, words ...string) {
	t.Helper()
	bad := findings(t, s)
	f, found := bad[check]
	if !found || f.Status != status || f.Advice == "" {
		t.Errorf("%s: %+v", check, f)
	}
	for _, w := range words {
		if !strings.Contains(f.Found, w) {
			t.Errorf("%s does not contain %q: %s", check, w, f.Found)
		}
	}
	delete(bad, check)
	if len(bad) > 0 {
		t.Errorf("other problems: %+v", bad)
	}
}

func TestHealthy(t *testing.T) {
	for name, url := range map[string]string{"sqlite": sqlite(t), "postgres": pgtest.Database(t)} {
		t.Run(name, func(t *testing.T) {
			s := healthy(t, url)
			r := Examine(t.Context(), s)
			if r.Status != Fine || r.ExitCode() != 0 {
				t.Errorf("%+v", r)
			}
			var text, js bytes.Buffer
			if r.Text(&text) != nil || r.JSON(&js) != nil || !strings.Contains(text.String(), "0 warnings, 0 failures") {
				t.Error(text.String())
			}
			var again Report
			if err := json.Unmarshal(js.Bytes(), &again); err != nil || len(again.Findings) != len(r.Findings) ||
				again.Status != Fine {
				t.Errorf("%v: %s", err, js.String())
			}
		})
	}
	if r := Examine(t.Context(), Subject{
		DatabaseURL: sqlite(t), Nodes: 1, DataPath: t.TempDir(), Machine: Machine{Descriptors: 5000},
	}); r.Status != Fine {
		t.Errorf("a first start: %+v", r)
	}
}

func TestBrokenDatabases(t *testing.T) {
	t.Run("no server answers", func(t *testing.T) {
		s := healthy(t, sqlite(t))
		s.DatabaseURL = "postgres://chowk:hUsh-hUsh@127.0.0.1:1/chowk"
		expect(t, s, "database", Failure, "connection")
		var out bytes.Buffer
		_ = Examine(t.Context(), s).Text(&out)
		if strings.Contains(out.String(), "hUsh") {
			t.Error(out.String())
		}
	})
	t.Run("no such database", func(t *testing.T) {
		url := pgtest.Database(t)
		s := healthy(t, url)
		s.DatabaseURL = url + "_not"
		expect(t, s, "database", Failure, "does not exist")
	})
	t.Run("the file is damaged", func(t *testing.T) {
		url := sqlite(t)
		s := healthy(t, url)
		f, err := os.OpenFile(strings.TrimPrefix(url, "sqlite:"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{0x5a}, 8192), 4096); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		bad := findings(t, s)
		if f := bad["integrity"]; f.Status != Failure || !strings.Contains(f.Advice, "restore") {
			t.Errorf("%+v", bad)
		}
	})
	t.Run("the file is not a database", func(t *testing.T) {
		url := sqlite(t)
		s := healthy(t, url)
		if err := os.WriteFile(
			strings.TrimPrefix(url, "sqlite:"), []byte(strings.Repeat("not a database ", 500)), 0o600,
		); err != nil {
			t.Fatal(err)
		}
		if f := findings(t, s)["database"]; f.Status != Failure {
			t.Errorf("%+v", f)
		}
	})
}

// TestBrokenPostgres breaks one server in several ways, and repairs it.
func TestBrokenPostgres(t *testing.T) {
	pg := pgtest.Start(t)
	sql := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if err := pg.Exec("postgres", statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := healthy(t, pg.URL())
	t.Run("more connections than allowed", func(t *testing.T) {
		s := s
		s.Nodes = 4
		expect(t, s, "connections", Failure, "4 nodes x 30 = 120 of the 97")
	})
	for setting, value := range map[string]string{"fsync": "off", "synchronous_commit": "off"} {
		t.Run(setting, func(t *testing.T) {
			sql("ALTER SYSTEM SET "+setting+" = "+value, "SELECT pg_reload_conf()")
			await(t, func() bool { return findings(t, s)["durability"].Found != "" })
			expect(t, s, "durability", Warning, setting+"=off")
			sql("ALTER SYSTEM RESET "+setting, "SELECT pg_reload_conf()")
			await(t, func() bool { return len(findings(t, s)) == 0 })
		})
	}
	t.Run("a newer schema", func(t *testing.T) {
		sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
		expect(t, s, "schema", Failure, "9999")
		sql("DELETE FROM goose_db_version WHERE version_id = 9999")
	})
	t.Run("one session blocks others", func(t *testing.T) {
		hold := session(t, pg.URL(), "BEGIN; LOCK TABLE messages;")
		defer hold()
		await(t, func() bool { return len(findings(t, s)) == 1 })
		wait := session(t, pg.URL(), "SELECT count(*) FROM messages;")
		defer wait()
		await(t, func() bool { return len(findings(t, s)) == 2 })
		bad := findings(t, s)
		if f := bad["blocks others"]; f.Status != Failure || !strings.Contains(f.Found, "idle in transaction") ||
			!strings.Contains(f.Advice, "pg_terminate_backend") {
			t.Errorf("%+v", bad)
		}
		if f := bad["blocked"]; f.Status != Warning {
			t.Errorf("%+v", bad)
		}
	})
	t.Run("a forgotten transaction", func(t *testing.T) {
		hold := session(t, pg.URL(), "BEGIN; SELECT count(*) FROM users;")
		defer hold()
		await(t, func() bool { return len(findings(t, s)) == 1 })
		expect(t, s, "idle", Warning, "idle in transaction")
	})
	t.Run("an idle transaction of chowk", func(t *testing.T) {
		hold := session(t, pg.URL()+"?application_name=chowk", "BEGIN; SELECT count(*) FROM users;")
		defer hold()
		await(t, func() bool { return len(findings(t, s)) == 1 })
		expect(t, s, "idle", Failure, "chowk")
	})
}

// session starts a psql that runs sql and stays connected.
func session(t *testing.T, url, sql string) (end func()) {
	t.Helper()
	psql := exec.Command("psql", "-X", "-q", url)
	in, err := psql.StdinPipe()
	if err == nil {
		err = psql.Start()
	}
	if err == nil {
		_, err = io.WriteString(in, sql+"\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = psql.Process.Kill()
		_ = psql.Wait()
	}
}

func await(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition was not met in time")
		}
	}
}

func TestThresholds(t *testing.T) {
	ms := time.Millisecond
	flushOf := func(d time.Duration) store.Examination {
		return store.Examination{Durability: "disk", Flush: []time.Duration{d, d, d}}
	}
	for name, c := range map[string]struct {
		f    Finding
		want Status
	}{
		"a fast disk":            {flush(flushOf(ms)), Fine},
		"a slow disk":            {flush(flushOf(30 * ms)), Warning},
		"a very slow disk":       {flush(flushOf(300 * ms)), Failure},
		"a disk that lies":       {flush(flushOf(time.Microsecond)), Warning},
		"clocks agree":           {clock(store.Examination{ClockOffset: -900 * ms}), Fine},
		"the clock is off":       {clock(store.Examination{ClockOffset: -3 * time.Second}), Warning},
		"the clock is wrong":     {clock(store.Examination{ClockOffset: time.Hour}), Failure},
		"a far database":         {clock(store.Examination{ClockOffset: 2 * time.Second, ClockError: 1500 * ms}), Fine},
		"a replica that streams": {replicas(store.Examination{Replicas: []store.Replica{{State: "streaming"}}})[0], Fine},
		"a replica that is late": {
			replicas(store.Examination{Replicas: []store.Replica{{State: "streaming", Lag: time.Minute}}})[0], Warning,
		},
	} {
		if c.f.Status != c.want || (c.f.Advice == "") != (c.want == Fine) {
			t.Errorf("%s: %+v", name, c.f)
		}
	}
}

func TestARunningServer(t *testing.T) {
	answer := `{"ready":false,"checks":{"database":{"state":"failing","detail":"postgres does not answer"}}}`
	ops := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/pool" {
			_, _ = io.WriteString(
				w, `{"InUse":30,"Most":30,"Waiting":4,"Holders":[{"Unit":"history","Count":30,"Longest":9000000000}]}`,
			)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer ops.Close()
	s := healthy(t, sqlite(t))
	s.OpsURL = ops.URL
	bad := findings(t, s)
	if f := bad["server"]; f.Status != Failure || !strings.Contains(f.Found, "postgres does not answer") {
		t.Errorf("%+v", bad)
	}
	if f := bad["pool"]; f.Status != Warning || !strings.Contains(f.Found, "30 x history, the longest for 9s") {
		t.Errorf("%+v", bad)
	}
}
