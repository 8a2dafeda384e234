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

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/store"
)

// childPath names the variable that makes this test binary a server to be killed.
const childPath = "CHOWK_TEST_SQLITE_CHILD"

// TestSQLiteKilledUnderLoad runs a process that commits, and prints what was acknowledged,
// until it is killed.
func TestSQLiteKilledUnderLoad(t *testing.T) {
	if path := os.Getenv(childPath); path != "" {
		commitForever(t, path)
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chowk.db")
	acked := make(map[chat.ID]chat.Seq)
	kills := 2
	if long {
		kills = 20
	}
	for range kills {
		channel := runUntilKilled(t, path, acked, len(acked)+2000)
		stored := storedIn(t, path, channel)
		for id, seq := range acked {
			if stored[id] != seq {
				t.Fatalf("%s was acknowledged as %d and is stored as %d", id, seq, stored[id])
			}
		}
		t.Logf("%d acknowledged, %d stored", len(acked), len(stored))
	}
}

// storedIn returns the seqs of the channel's messages, which must have no gaps.
func storedIn(t *testing.T, path string, channel chat.ID) map[chat.ID]chat.Seq {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	stored := make(map[chat.ID]chat.Seq)
	for i, e := range logOf(t, s, channel) {
		if e.Seq != chat.Seq(i+1) {
			t.Fatalf("entry %d of the log has seq %d", i+1, e.Seq)
		}
		if e.Message == nil {
			continue
		}
		if stored[e.Message.ID] != 0 {
			t.Errorf("%s is stored twice", e.Message.ID)
		}
		stored[e.Message.ID] = e.Seq
	}
	return stored
}

// runUntilKilled starts the child and kills it when it has acknowledged enough. It returns
// the channel to which all children send.
func runUntilKilled(t *testing.T, path string, acked map[chat.ID]chat.Seq, enough int) (channel chat.ID) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSQLiteKilledUnderLoad$")
	child.Env = append(os.Environ(), childPath+"="+path)
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
			break // the last line may be incomplete
		}
		id, seq := parseAck(t, line)
		if seq == 0 {
			channel = id
			continue
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
	return channel
}

func parseAck(t *testing.T, line string) (chat.ID, chat.Seq) {
	t.Helper()
	text, number, _ := strings.Cut(strings.TrimSpace(line), " ")
	id, err := chat.ParseID(text)
	if err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	return id, seq
}

// noPublisher publishes nothing.
type noPublisher struct{}

func (noPublisher) Publish([]chat.Entry)    {}
func (noPublisher) MarkUncertain([]chat.ID) {}

// commitForever is the child. It prints the id of the channel with 0, then the id and the seq of
// each message.
func commitForever(t *testing.T, path string) {
	s, err := store.Open(context.Background(), store.Options{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	channel := firstChannel(t, s)
	_, _ = fmt.Fprintf(os.Stdout, "%s 0\n", channel)
	j := journal.Start(journal.Config{Store: s, Publisher: noPublisher{}})
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() { // ends with the process
			for {
				c := sending(channel, "hello")
				if out, err := j.Commit(context.Background(), c); err == nil && out.Err == nil {
					_, _ = fmt.Fprintf(os.Stdout, "%s %d\n", c.ID, out.Message.Seq) // one write each
				}
			}
		})
	}
	senders.Wait()
}

// firstChannel returns ada's channel, which it creates at the first start.
func firstChannel(t *testing.T, s *store.Store) chat.ID {
	t.Helper()
	all, err := s.Channels(context.Background(), "ada", true)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 0 {
		return all[0].ID
	}
	return newChannel(t, s)
}
