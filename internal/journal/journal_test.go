package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a database in memory that can be made slow or broken.
type store struct {
	mu      sync.Mutex
	groups  [][]state.Change
	reads   [][]state.Read
	seqs    map[chat.ID]chat.Seq
	entered chan struct{} // receives a token when a commit begins, if not nil
	proceed chan struct{} // a commit waits for a token, if not nil
	fail    error
}

func (s *store) Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
	}
	if s.proceed != nil {
		select {
		case <-s.proceed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	s.groups = append(s.groups, changes)
	outcomes := make([]state.Outcome, len(changes))
	for i, c := range changes {
		if c.Content == "refuse me" {
			outcomes[i].Err = chat.ErrAccessDenied
			continue
		}
		s.seqs[c.ChannelID]++
		seq, user := s.seqs[c.ChannelID], c.Actor.User
		outcomes[i].Entry = &chat.Entry{Type: chat.EventMessage, ChannelID: c.ChannelID, Seq: seq, UserID: user, At: c.At}
		outcomes[i].Message = &chat.Message{
			ID: c.ID, ChannelID: c.ChannelID, UserID: user, Seq: seq, Ordinal: seq, CreatedAt: c.At,
		}
	}
	return outcomes, nil
}

func (s *store) CommitReads(_ context.Context, reads []state.Read) ([]state.ReadResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, reads)
	results := make([]state.ReadResult, len(reads))
	for i, r := range reads {
		results[i].LastReadSeq = r.Seq
	}
	return results, nil
}

func (s *store) readGroups() [][]state.Read {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// published keeps what a journal publishes.
type published struct {
	mu        sync.Mutex
	entries   []chat.Entry
	uncertain []chat.ID
}

func (p *published) MarkUncertain(channels []chat.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uncertain = append(p.uncertain, channels...)
}

func (p *published) Publish(entries []chat.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, entries...)
}

func start(t *testing.T, s *store, c journal.Config) (*journal.Journal, *published) {
	t.Helper()
	s.seqs = make(map[chat.ID]chat.Seq)
	p := &published{}
	c.Store, c.Publisher = s, p
	j := journal.Start(c)
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j, p
}

func send(channel chat.ID, content string) state.Change {
	return state.Change{
		Kind: state.SendMessage, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor("ada"), Content: content,
	}
}

func TestChangesDuringACommitAreTheNextGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}), proceed: make(chan struct{})}
		j, _ := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		var senders sync.WaitGroup
		commit := func() {
			if _, err := j.Commit(t.Context(), send(channel, "hello")); err != nil {
				t.Errorf("commit: %v", err)
			}
		}
		senders.Go(commit)
		<-s.entered
		for range 300 {
			senders.Go(commit)
		}
		synctest.Wait() // all 300 are queued behind the first
		s.proceed <- struct{}{}
		<-s.entered
		s.proceed <- struct{}{}
		senders.Wait()
		if len(s.groups) != 2 || len(s.groups[0]) != 1 || len(s.groups[1]) != 300 {
			t.Errorf("got %d groups, want one of 1 change and one of 300", len(s.groups))
		}
	})
}

func TestAChannelIsPublishedInTheOrderOfItsCommits(t *testing.T) {
	s := &store{}
	j, p := start(t, s, journal.Config{Workers: 4})
	channels := []chat.ID{chat.NewID(), chat.NewID(), chat.NewID(), chat.NewID(), chat.NewID()}
	var senders sync.WaitGroup
	for i := range 500 {
		senders.Go(func() {
			if _, err := j.Commit(t.Context(), send(channels[i%len(channels)], "x")); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
	senders.Wait()
	last := make(map[chat.ID]chat.Seq)
	for _, e := range p.entries {
		if e.Seq != last[e.ChannelID]+1 {
			t.Fatalf("seq %d was published after %d", e.Seq, last[e.ChannelID])
		}
		last[e.ChannelID] = e.Seq
	}
	for _, id := range channels {
		if last[id] != 100 {
			t.Errorf("published up to %d, want 100", last[id])
		}
	}
}

func TestARefusedChangeFailsAlone(t *testing.T) {
	s := &store{}
	j, p := start(t, s, journal.Config{})
	channel := chat.NewID()
	out, err := j.Commit(t.Context(), send(channel, "refuse me"))
	if err != nil || !errors.Is(out.Err, chat.ErrAccessDenied) {
		t.Errorf("got %v, %v; want a refusal", out.Err, err)
	}
	if out, err := j.Commit(t.Context(), send(channel, "fine")); err != nil || out.Err != nil || out.Entry.Seq != 1 {
		t.Errorf("got %+v, %v; want seq 1", out, err)
	}
	if len(p.entries) != 1 {
		t.Errorf("%d entries were published, want 1", len(p.entries))
	}
}

func wantCode(t *testing.T, err error, code chat.Code) {
	t.Helper()
	if err == nil || chat.AsError(err).Code != code {
		t.Errorf("got error %v, want %s", err, code)
	}
	if err != nil && chat.AsError(err).RetryAfter == 0 {
		t.Errorf("%v has no RetryAfter", err)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}, 99), proceed: make(chan struct{})}
		j, _ := start(t, s, journal.Config{Workers: 1, QueueChanges: 2})
		channel := chat.NewID()
		var senders sync.WaitGroup
		for range 3 {
			senders.Go(func() { _, _ = j.Commit(t.Context(), send(channel, "x")) })
			synctest.Wait()
		}
		began := time.Now()
		_, err := j.Commit(t.Context(), send(channel, "one too many"))
		wantCode(t, err, chat.Overloaded)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("refused after %v, want at once", waited)
		}
		close(s.proceed)
		senders.Wait()
	})
}

func TestAChangeThatWaitsTooLongIsRefusedAndNeverCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}, 99), proceed: make(chan struct{})}
		j, _ := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := j.Commit(t.Context(), send(channel, "first")); err != nil {
				t.Errorf("first: %v", err)
			}
		})
		<-s.entered
		began := time.Now()
		_, err := j.Commit(t.Context(), send(channel, "late"))
		wantCode(t, err, chat.Overloaded)
		if waited := time.Since(began); waited != 250*time.Millisecond {
			t.Errorf("refused after %v, want 250ms", waited)
		}
		close(s.proceed)
		first.Wait()
		if _, err := j.Commit(t.Context(), send(channel, "next")); err != nil {
			t.Errorf("next: %v", err)
		}
		for _, g := range s.groups {
			for _, c := range g {
				if c.Content == "late" {
					t.Error("a refused change was committed")
				}
			}
		}
	})
}

// TestAStalledDatabase checks that no sender waits for long: the outcome of a change that is being
// committed is reported as unknown in time, later changes are refused at once, and the commit is
// completed and published all the same.
func TestAStalledDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}, 1), proceed: make(chan struct{})}
		j, p := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		first := make(chan error, 1)
		begin := time.Now()
		go func() { // ends when the commit is answered
			_, err := j.Commit(t.Context(), send(channel, "first"))
			first <- err
		}()
		<-s.entered
		_, err := j.Commit(t.Context(), send(channel, "waits in the queue"))
		wantCode(t, err, chat.Overloaded)
		time.Sleep(300 * time.Millisecond)
		sent := time.Now()
		_, err = j.Commit(t.Context(), send(channel, "arrives late"))
		wantCode(t, err, chat.Overloaded)
		if waited := time.Since(sent); waited != 0 {
			t.Errorf("the late change was refused after %v, want at once", waited)
		}
		if err := <-first; !errors.Is(err, chat.ErrOutcomeUnknown) {
			t.Errorf("the first change: error %v, want an unknown outcome", err)
		}
		if waited := time.Since(begin); waited != 1500*time.Millisecond {
			t.Errorf("the first change was answered after %v, want 1.5s", waited)
		}
		s.proceed <- struct{}{}
		synctest.Wait()
		if len(p.entries) != 1 || len(p.uncertain) != 0 {
			t.Errorf("published %v, uncertain %v; want one entry and no channel", p.entries, p.uncertain)
		}
		go func() { <-s.entered; s.proceed <- struct{}{} }() // ends with the next commit
		if _, err := j.Commit(t.Context(), send(channel, "afterwards")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if len(s.groups) != 2 || len(s.groups[1]) != 1 {
			t.Errorf("committed %v, want two groups of one change", s.groups)
		}
	})
}

func TestAFailedGroupIsAnsweredWithoutTheDatabasesText(t *testing.T) {
	unavailable := &chat.Error{Code: chat.Unavailable, Message: "no database", RetryAfter: time.Second}
	s := &store{fail: fmt.Errorf("FATAL: internal text: %w", unavailable)}
	j, p := start(t, s, journal.Config{})
	_, err := j.Commit(t.Context(), send(chat.NewID(), "x"))
	wantCode(t, err, chat.Unavailable)
	if got := chat.AsError(err).Message; got != unavailable.Message {
		t.Errorf("answered %q, want %q", got, unavailable.Message)
	}
	if len(p.entries) != 0 {
		t.Error("an entry was published that was not committed")
	}
}

func TestOnlyACommitWithAnUnknownOutcomeMakesItsChannelUncertain(t *testing.T) {
	for _, c := range []struct {
		fail      error
		uncertain bool
	}{
		{chat.ErrOutcomeUnknown, true},
		{errors.New("broken pipe"), true},
		{&chat.Error{Code: chat.Overloaded, Message: "busy"}, false},
	} {
		j, p := start(t, &store{fail: c.fail}, journal.Config{})
		channel := chat.NewID()
		if _, err := j.Commit(t.Context(), send(channel, "x")); err == nil {
			t.Fatal("no error")
		}
		p.mu.Lock()
		if got := len(p.uncertain) == 1 && p.uncertain[0] == channel; got != c.uncertain {
			t.Errorf("%v: uncertain %v, want %v", c.fail, p.uncertain, c.uncertain)
		}
		p.mu.Unlock()
	}
}

func TestCloseCommitsWhatIsQueuedAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}, 99), proceed: make(chan struct{})}
		j, _ := start(t, s, journal.Config{Workers: 1})
		channel := chat.NewID()
		var senders sync.WaitGroup
		for range 10 {
			senders.Go(func() {
				if _, err := j.Commit(t.Context(), send(channel, "x")); err != nil {
					t.Errorf("commit: %v", err)
				}
			})
		}
		synctest.Wait()
		var closing sync.WaitGroup
		closing.Go(func() { _ = j.Close(t.Context()) })
		synctest.Wait()
		_, err := j.Commit(t.Context(), send(channel, "after the end"))
		wantCode(t, err, chat.Unavailable)
		close(s.proceed)
		senders.Wait()
		closing.Wait()
		if s.seqs[channel] != 10 {
			t.Errorf("%d changes committed, want 10", s.seqs[channel])
		}
	})
}

func TestCloseGivesUpOnADatabaseThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{entered: make(chan struct{}, 99), proceed: make(chan struct{}), seqs: map[chat.ID]chat.Seq{}}
		j := journal.Start(journal.Config{Store: s, Publisher: &published{}, Workers: 1, CommitTimeout: time.Hour})
		var sender sync.WaitGroup
		sender.Go(func() {
			if _, err := j.Commit(t.Context(), send(chat.NewID(), "x")); err == nil {
				t.Error("a change was acknowledged that was never committed")
			}
		})
		<-s.entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := j.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v, want the deadline", err)
		}
		sender.Wait()
	})
}
