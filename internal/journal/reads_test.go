package journal_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/state"
)

func TestManySendsMoveTheirSendersCursorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		j, _ := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		for range 50 {
			if _, err := j.Commit(t.Context(), send(channel, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.readGroups()); n != 0 {
			t.Fatalf("%d groups of reads before the delay, want none", n)
		}
		time.Sleep(2 * time.Second) // by the clock of synctest
		synctest.Wait()
		groups := s.readGroups()
		if len(groups) != 1 || len(groups[0]) != 1 || groups[0][0].Seq != 50 {
			t.Errorf("got %+v, want one read up to 50", groups)
		}
	})
}

func TestFlushReadsMakesOwnReadsDurableAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		j, _ := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		if _, err := j.Commit(t.Context(), send(channel, "x")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := j.FlushReads(t.Context(), "bob"); err != nil || len(s.readGroups()) != 0 {
			t.Errorf("flush of another user's reads: error %v, %d groups", err, len(s.readGroups()))
		}
		if err := j.FlushReads(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if groups := s.readGroups(); len(groups) != 1 || groups[0][0].Seq != 1 || time.Since(began) != 0 {
			t.Errorf("got %+v after %v, want one read up to 1 at once", groups, time.Since(began))
		}
	})
}

func TestAGroupHasEachCursorOnce(t *testing.T) {
	s := &store{}
	j, _ := start(t, s, journal.Config{})
	channel := chat.NewID()
	var readers sync.WaitGroup
	for i := range 200 {
		readers.Go(func() {
			out, err := j.Read(t.Context(), state.Read{ChannelID: channel, UserID: "ada", Seq: int64(i)})
			if err != nil || out.LastReadSeq != int64(i) {
				t.Errorf("read %d: %+v, %v", i, out, err)
			}
		})
	}
	readers.Wait()
	for _, g := range s.readGroups() {
		if len(g) != 1 {
			t.Errorf("a group has the same cursor %d times", len(g))
		}
	}
}
