// Package journal is the one way in for changes. It gathers them from all sockets
// and commits them in groups: each lane takes what has come in while its last
// commit was under way, so a group is one borrowed connection and one round trip
// however many senders there are, and an idle server adds no delay.
//
// One channel is one lane, and a lane commits and publishes one group after the
// other, so the order of commits is the order in which everyone is told. Only what
// is committed is answered and published.
package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Publisher is told of committed entries: within a channel in seq order, though an
// entry may be told twice when a commit had to be repeated.
type Publisher interface {
	Publish(events []chat.Entry)
	// MarkUncertain is told of channels in which something may have been committed that
	// will not be published: a commit whose fate is unknown.
	MarkUncertain(channels []chat.ID)
}

// Config says how a Journal works. Zero values mean the defaults.
type Config struct {
	Store     Store
	Publisher Publisher
	Metrics   *metric.Journal
	// Trace may be nil: then nothing is traced. TraceFanout is told of each entry whose
	// fan-out is traced, before it is published, and ends the span; it may be nil.
	Trace       *trace.Tracer
	TraceFanout func(channel chat.ID, seq chat.Seq, fanOut trace.Span)
	Log         *slog.Logger
	// Lanes is how many groups may be under way at a time: as many as the
	// database's host has cores, at most 4; more than that is slower. Default 2.
	Lanes int
	// GroupSize is the most changes in one commit. Default 512.
	GroupSize int
	// QueueChanges and QueueBytes bound what waits in each lane. Defaults 8,192
	// and 32 MiB.
	QueueChanges int
	QueueBytes   int
	// QueueTimeout is how long a change may wait before a lane takes it up; then
	// its sender is told overloaded. Default 250 ms.
	QueueTimeout time.Duration
	// AnswerTimeout is how long a sender waits for the commit of a change that a lane
	// has taken up; then he is told that its fate is unknown, while the commit goes
	// on. Default 1.5 s.
	AnswerTimeout time.Duration
	// CommitTimeout bounds one group, repeated attempts included. Default 5 s.
	CommitTimeout time.Duration
	// ReadDelay is how long a send's own read cursor may stay in memory, so that
	// many sends cost one row. Default 1 s.
	ReadDelay time.Duration
}

func (c Config) withDefaults() Config {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.Lanes, 2)
	set(&c.GroupSize, 512)
	set(&c.QueueChanges, 8192)
	set(&c.QueueBytes, 32<<20)
	wait(&c.QueueTimeout, 250*time.Millisecond)
	wait(&c.AnswerTimeout, 1500*time.Millisecond)
	wait(&c.CommitTimeout, 5*time.Second)
	wait(&c.ReadDelay, time.Second)
	if c.Metrics == nil {
		c.Metrics = metric.New().Journal
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Journal commits changes in groups. Make one with Start; Close ends it.
type Journal struct {
	config Config
	lanes  []*worker
	reads  *reads
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// Start begins to take changes.
func Start(c Config) *Journal {
	c = c.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	j := &Journal{config: c, stop: stop, reads: newReads(c)}
	for range c.Lanes {
		l := newLane(c, j.reads)
		j.lanes = append(j.lanes, l)
		j.done.Go(func() { l.run(ctx) }) // ends when Close has emptied the queue
	}
	return j
}

// Close refuses further changes, commits those it has taken, and waits for that
// until ctx ends; what is left then is refused.
func (j *Journal) Close(ctx context.Context) error {
	finished := make(chan struct{})
	go func() { // ends when the lanes have
		for _, l := range j.lanes {
			l.close()
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
	return j.laneOf(c.ChannelID).commit(ctx, c)
}

// Read waits for the read cursor to be durable. See command.Journal.
func (j *Journal) Read(ctx context.Context, r state.Read) (state.ReadResult, error) {
	return j.reads.commit(ctx, r)
}

// FlushReads makes durable what the user's own sends have read.
func (j *Journal) FlushReads(ctx context.Context, user chat.UserID) error {
	return j.reads.settle(ctx, user)
}

func (j *Journal) laneOf(channel chat.ID) *worker {
	// The last bytes of a version 7 id are random.
	return j.lanes[int(channel[15])%len(j.lanes)]
}
