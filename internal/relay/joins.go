package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// joins subscribes users to channels after another node has committed that they are
// members. It relies on the database only for that.
type joins struct {
	env
	hub   joinHub
	db    joinDatabase
	lost  lostFunc
	queue chan joinsNote

	// Used by poll and skip only.
	since     chat.Time
	processed map[entryKey]time.Time
	keep      time.Duration // how long processed keeps an entry
}

type entryKey struct {
	channel chat.ID
	seq     chat.Seq
}

const (
	maxJoinQueue  = 4096
	lookupTimeout = 5 * time.Second
	// joinsOverlap is by how much the time of an entry may lie before its commit, with
	// the difference between clocks.
	joinsOverlap      = 20 * time.Second
	maxProcessedJoins = 100_000
)

func newJoins(e env, calmInterval time.Duration, hub joinHub, db joinDatabase, lost lostFunc) *joins {
	return &joins{
		env: e, hub: hub, db: db, lost: lost, queue: make(chan joinsNote, maxJoinQueue),
		processed: make(map[entryKey]time.Time), keep: calmInterval + 2*joinsOverlap,
	}
}

// handle queues what another node sent. It is lost when too much waits.
func (j *joins) handle(_ header, note joinsNote) bool {
	if len(j.hub.Connected(note.Users)) == 0 && !j.hub.HasListeners(note.Channel) {
		return true
	}
	select {
	case j.queue <- note:
	default:
		j.metrics.Dropped.WithLabelValues("slow").Inc()
		j.lost(lostSlow)
	}
	return true
}

// run processes the queue until ctx ends.
func (j *joins) run(ctx context.Context) {
	for {
		select {
		case note := <-j.queue:
			j.process(ctx, note)
		case <-ctx.Done():
			return
		}
	}
}

func (j *joins) process(ctx context.Context, note joinsNote) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if err := j.apply(ctx, note); err != nil && !errors.Is(err, context.Canceled) {
		j.log.Warn("look up new members that another node reported", "channel", note.Channel, "err", err)
		j.lost(lostJoins)
	}
}

// apply subscribes those of the users who are members according to the database, and
// has the channel's listeners here receive the entry.
func (j *joins) apply(ctx context.Context, note joinsNote) error {
	if connected := j.hub.Connected(note.Users); len(connected) > 0 {
		joined, head, err := j.db.JoinSeqs(ctx, note.Channel, connected)
		if err != nil {
			return fmt.Errorf("look up memberships: %w", err)
		}
		if len(joined) > 0 {
			j.hub.ApplyJoins(note.Channel, head, joined)
			return nil
		}
	}
	if !j.hub.HasListeners(note.Channel) {
		return nil
	}
	heads, err := j.db.HeadsBeyond(ctx, map[chat.ID]chat.Seq{note.Channel: 0})
	if err != nil {
		return fmt.Errorf("look up a channel's head: %w", err)
	}
	j.hub.ObserveHeads(heads)
	return nil
}

// skip has poll begin at this moment.
func (j *joins) skip() { j.since = chat.TimeOf(j.now()) }

// poll reads from the database which memberships began since the last call, and applies
// those of users who are connected here.
func (j *joins) poll(ctx context.Context) error {
	now := j.now()
	entries, err := j.db.RecentJoins(ctx, j.since-chat.Time(joinsOverlap.Microseconds()))
	if err != nil {
		return err
	}
	for i := range entries {
		if err := j.applyRecent(ctx, &entries[i]); err != nil {
			return err
		}
	}
	j.since = chat.TimeOf(now)
	for key, at := range j.processed {
		if now.Sub(at) > j.keep {
			delete(j.processed, key)
		}
	}
	return nil
}

// applyRecent applies an entry, unless it was processed before.
func (j *joins) applyRecent(ctx context.Context, ev *chat.Entry) error {
	key := entryKey{ev.ChannelID, ev.Seq}
	if _, processed := j.processed[key]; processed {
		return nil
	}
	note := joinsNote{Channel: ev.ChannelID, Seq: ev.Seq, Users: ev.JoinedUsers()}
	if len(j.hub.Connected(note.Users)) > 0 {
		if !j.hub.HasListeners(ev.ChannelID) {
			j.metrics.Reconciled.WithLabelValues("memberships").Inc()
		}
		if err := j.apply(ctx, note); err != nil {
			return err
		}
	}
	if len(j.processed) >= maxProcessedJoins {
		clear(j.processed) // applying an entry twice does no harm
	}
	j.processed[key] = j.now()
	return nil
}
