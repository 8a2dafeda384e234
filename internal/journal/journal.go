// Package journal is the only way for changes to reach the database. It collects the changes
// of all sockets and commits them in groups: each worker takes what has arrived while its last
// commit was under way. So a group costs one connection and one round trip however many
// senders there are, and an idle server adds no delay.
//
// A channel belongs to one worker, and a worker commits and publishes one group after the
// other, so entries are published in the order of their commits. Only what is committed is
// acknowledged and published.
package journal

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Publisher receives committed entries, within a channel in the order of their seqs. An entry
// may be published twice if a commit had to be repeated.
type Publisher interface {
	Publish(entries []chat.Entry)
	// MarkUncertain receives channels in which something may have been committed that will
	// not be published, because the outcome of a commit is unknown.
	MarkUncertain(channels []chat.ID)
}

// Config configures a Journal. Zero values mean the defaults.
type Config struct {
	Store     Store
	Publisher Publisher
	Metrics   *metric.Journal
	// Trace may be nil: then nothing is traced. TraceFanout is called for each entry with a
	// traced fan-out, before it is published, and ends the span. It may be nil.
	Trace       *trace.Tracer
	TraceFanout func(channel chat.ID, seq chat.Seq, fanOut trace.Span)
	Log         *slog.Logger
	// Workers is how many groups may be under way at a time. As many as the database's host
	// has cores, at most 4, is best; more is slower. Default 2.
	Workers int
	// GroupSize bounds the changes in one commit. Default 512.
	GroupSize int
	// QueueChanges and QueueBytes bound each worker's queue. Defaults 8,192 and 32 MiB.
	QueueChanges int
	QueueBytes   int
	// QueueTimeout is how long a change may wait in the queue. After that it is refused as
	// overloaded. Default 250 ms.
	QueueTimeout time.Duration
	// AnswerTimeout is how long a sender waits for the commit of a change that has left the
	// queue. After that the outcome is reported as unknown, while the commit goes on.
	// Default 1.5 s.
	AnswerTimeout time.Duration
	// CommitTimeout bounds one group, repeated attempts included. Default 5 s.
	CommitTimeout time.Duration
	// ReadDelay is how long the read cursor of a sender may stay in memory, so that many
	// sends cost one row. Default 1 s.
	ReadDelay time.Duration
}

// WithDefaults returns c with its defaults filled in.
func (c Config) WithDefaults() Config {
	c.Workers = cmp.Or(c.Workers, 2)
	c.GroupSize = cmp.Or(c.GroupSize, 512)
	c.QueueChanges = cmp.Or(c.QueueChanges, 8192)
	c.QueueBytes = cmp.Or(c.QueueBytes, 32<<20)
	c.QueueTimeout = cmp.Or(c.QueueTimeout, 250*time.Millisecond)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, 1500*time.Millisecond)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, 5*time.Second)
	c.ReadDelay = cmp.Or(c.ReadDelay, time.Second)
	if c.Metrics == nil {
		c.Metrics = metric.New().Journal
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Journal commits changes in groups. Create it with Start; Close ends it.
type Journal struct {
	config  Config
	workers []*worker
	reads   *reads
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Start returns a journal that accepts changes.
func Start(c Config) *Journal {
	c = c.WithDefaults()
	ctx, stop := context.WithCancel(context.Background())
	j := &Journal{config: c, stop: stop, reads: newReads(c)}
	for range c.Workers {
		w := newWorker(c, j.reads)
		j.workers = append(j.workers, w)
		j.done.Go(func() { w.run(ctx) }) // ends when Close has emptied the queue
	}
	return j
}

// Close refuses further changes, commits those that it has accepted, and waits for that. If ctx
// ends first, it refuses what is left.
func (j *Journal) Close(ctx context.Context) error {
	finished := make(chan struct{})
	go func() { // ends when the workers have ended
		for _, w := range j.workers {
			w.close()
		}
		j.done.Wait()
		j.reads.close()
		close(finished)
	}()
	select {
	case <-finished:
		j.stop()
		return nil
	case <-ctx.Done():
		j.stop()
		j.reads.abort()
		<-finished
		return ctx.Err()
	}
}

// Commit waits for the change's group to be durable. See command.Journal.
func (j *Journal) Commit(ctx context.Context, c state.Change) (state.Outcome, error) {
	return j.workerOf(c.ChannelID).commit(ctx, c)
}

// Read waits for the read cursor to be durable. See command.Journal.
func (j *Journal) Read(ctx context.Context, r state.Read) (state.ReadResult, error) {
	return j.reads.commit(ctx, r)
}

// FlushReads makes the read cursors durable that the user's own sends have moved.
func (j *Journal) FlushReads(ctx context.Context, user chat.UserID) error {
	return j.reads.flush(ctx, user)
}

func (j *Journal) workerOf(channel chat.ID) *worker {
	// The last bytes of a version 7 id are random.
	return j.workers[int(channel[15])%len(j.workers)]
}
