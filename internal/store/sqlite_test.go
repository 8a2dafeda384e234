package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// raw opens the file beside the store, as another program would.
func raw(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func script(t *testing.T, c *sqlite.Conn, sql string) {
	t.Helper()
	if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteReadersNeverWaitForTheWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	w := open(t, store.Options{URL: "sqlite:" + path, HoldSoft: 300 * time.Millisecond, HoldHard: time.Second})
	if _, err := w.EnsureUser(t.Context(), chat.User{ID: "ada", Name: "Ada", IsActive: true}); err != nil {
		t.Fatal(err)
	}
	other := raw(t, path)
	script(t, other, "BEGIN IMMEDIATE")
	script(t, other, "UPDATE users SET name = 'Countess'")
	if all, err := w.FindUsers(t.Context(), "ada", 1); err != nil || all[0].Name != "Ada" {
		t.Errorf("while another writes: %v, %v", all, err)
	}
	// A writer waits for its turn, up to the hard limit.
	_, err := w.EnsureUser(t.Context(), chat.User{ID: "bob", Name: "Bob", IsActive: true})
	if code(err) != chat.Overloaded || w.seen.of(w.seen.heldLong, "ensure_user") == 0 || w.seen.of(w.seen.cancelled, "ensure_user") != 1 {
		t.Errorf("a second writer: %v, %v, %v", err, w.seen.heldLong, w.seen.cancelled)
	}
	if err := w.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	script(t, other, "COMMIT")
	if all, err := w.FindUsers(t.Context(), "ada", 1); err != nil || all[0].Name != "Countess" {
		t.Errorf("after it: %v, %v", all, err)
	}
	if _, err := w.EnsureUser(t.Context(), chat.User{ID: "bob", Name: "Bob", IsActive: true}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestSQLiteThatIsNotDurableIsRefusedAtTheStart(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := store.Open(t.Context(), store.Options{URL: "sqlite::memory:"})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "journal_mode=memory and synchronous=2") {
		t.Errorf("got %v", err)
	}
}

// inChild names the variable that makes this test binary a server to be killed.
const inChild = "CHOWK_TEST_SQLITE_CHILD"

// theChannel is the one that the child writes to.
var theChannel = chat.ID{6: 0x70, 8: 0x80, 15: 1}

// TestSQLiteKilledUnderLoad runs a process that commits, and says what has been
// acknowledged, until it is killed.
func TestSQLiteKilledUnderLoad(t *testing.T) {
	if path := os.Getenv(inChild); path != "" {
		commitForEver(t, path)
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	acked := make(map[string]chat.Seq)
	kills := 2
	if long {
		kills = 20
	}
	for range kills {
		runUntilKilled(t, path, acked, len(acked)+2000)
		s, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + path})
		if err != nil {
			t.Fatal(err)
		}
		log := logOf(t, s, theChannel)
		stored := make(map[string]chat.Seq)
		for i, ev := range log {
			if ev.Seq != chat.Seq(i+1) {
				t.Fatalf("seq %d is in place %d", ev.Seq, i+1)
			}
			if ev.Message != nil {
				stored[ev.Message.ID.String()] = ev.Seq
			}
		}
		if len(stored) != len(log)-1 { // the channel's making
			t.Errorf("%d messages have %d entries", len(stored), len(log))
		}
		for id, seq := range acked {
			if stored[id] != seq {
				t.Fatalf("%s was acknowledged as %d and is stored as %d", id, seq, stored[id])
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("%d acknowledged, %d stored", len(acked), len(stored))
	}
}

// runUntilKilled starts the child and kills it when it has acknowledged enough.
func runUntilKilled(t *testing.T, path string, acked map[string]chat.Seq, enough int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSQLiteKilledUnderLoad$")
	child.Env = append(os.Environ(), inChild+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the last line may be half of one
		}
		id, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("the child says %q", line)
		}
		acked[id] = seq
		if len(acked) >= enough && !killed {
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if !killed {
		t.Fatal("the child ended by itself")
	}
}

// noPublisher is a publisher.
type noPublisher struct{}

func (noPublisher) Publish([]chat.Entry)    {}
func (noPublisher) MarkUncertain([]chat.ID) {}

// commitForEver is the child.
func commitForEver(t *testing.T, path string) {
	s, err := store.Open(context.Background(), store.Options{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureUser(context.Background(), chat.User{ID: "ada", Name: "Ada", IsActive: true}); err != nil {
		t.Fatal(err)
	}
	j := journal.Start(journal.Config{Store: s, Publisher: noPublisher{}})
	_, err = j.Commit(context.Background(), state.Change{
		Kind: state.CreateChannel, ID: theChannel, ChannelID: theChannel, Actor: model.UserActor("ada"), At: 1,
		Channel: &chat.Channel{ID: theChannel, Name: "c", ChannelType: chat.Group, CreatedBy: "ada"}, Members: []state.InitialMember{{UserID: "ada", Role: chat.RoleOwner}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for {
				c := state.Change{Kind: state.SendMessage, ID: chat.NewID(), ChannelID: theChannel, Actor: model.UserActor("ada"), At: 1}
				c.Message = &chat.Message{ID: c.ID, ChannelID: c.ChannelID, UserID: "ada", Content: "hello", MessageType: chat.Text}
				if out, err := j.Commit(context.Background(), c); err == nil && out.Err == nil {
					_, _ = fmt.Fprintf(os.Stdout, "%s %d\n", c.ID, out.Message.Seq) // one write each
				}
			}
		})
	}
	senders.Wait()
}
