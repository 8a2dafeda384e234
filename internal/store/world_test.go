package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/store"
)

// long asks for the long form of tests that break the database.
var long = os.Getenv("CHOWK_TEST_LONG") != ""

// patience bounds what a test waits for.
const patience = 30 * time.Second

// recorder is an Observer that keeps everything.
type recorder struct {
	mu        sync.Mutex // guards what follows
	executed  []string   // the statements
	acquired  map[string]int
	refused   map[string]int // by why
	heldLong  map[string]int
	cancelled map[string]int
}

func newRecorder() *recorder {
	return &recorder{acquired: map[string]int{}, refused: map[string]int{}, heldLong: map[string]int{}, cancelled: map[string]int{}}
}

func (r *recorder) count(m map[string]int, key string) {
	if store.Holding() {
		panic("a connection is held while its work is counted")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m[key]++
}

func (r *recorder) Acquired(unit string, _, _ time.Duration) { r.count(r.acquired, unit) }
func (r *recorder) Refused(_, why string)                    { r.count(r.refused, why) }
func (r *recorder) HeldLong(unit string)                     { r.count(r.heldLong, unit) }
func (r *recorder) Cancelled(unit string)                    { r.count(r.cancelled, unit) }

func (r *recorder) Executed(_ string, statements []string, _ time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed = append(r.executed, statements...)
}

func (r *recorder) of(m map[string]int, key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return m[key]
}

// statements counts those that are not about transactions.
func (r *recorder) statements() (n int, byName map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName = make(map[string]int)
	for _, s := range r.executed {
		if s != "begin" && s != "commit" {
			n++
			byName[s]++
		}
	}
	return n, byName
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed = nil
}

// logbook keeps what is logged.
type logbook struct {
	mu  sync.Mutex // guards what follows
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	if store.Holding() {
		panic("a connection is held while something is logged")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) lines(with string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return found
}

// world is a store with all that it tells.
type world struct {
	*store.Store
	seen *recorder
	log  *logbook
}

func open(t *testing.T, o store.Options) *world {
	t.Helper()
	w := &world{seen: newRecorder(), log: &logbook{}}
	o.Observer, o.Log = w.seen, slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	if w.Store, err = store.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// eventually waits until ok, as a test must that watches a server.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// lockUsers makes every read of users wait until the lock is let go.
func lockUsers(t *testing.T, url string) (letGo func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	letGo = func() { once.Do(func() { _ = c.Close(context.Background()) }) }
	t.Cleanup(letGo)
	return letGo
}

// readers are units of work that wait for the lock on users.
type readers struct {
	group sync.WaitGroup
	mu    sync.Mutex // guards what follows
	errs  []error
}

// ask starts n of them; their client waits for no deadline.
func (r *readers) ask(w *world, n int) {
	for range n {
		r.group.Go(func() {
			_, err := w.FindUsers(context.Background(), "ada", 1)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.errs = append(r.errs, err)
		})
	}
}

func (r *readers) wait() []error {
	r.group.Wait()
	return r.errs
}

func code(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}
