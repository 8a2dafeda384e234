package journal_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/trace"
)

func record() (*trace.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test"), 1), spans
}

func named(spans *tracetest.SpanRecorder, name string) (all []sdk.ReadOnlySpan) {
	for _, s := range spans.Ended() {
		if s.Name() == name {
			all = append(all, s)
		}
	}
	return all
}

// TestAGroupIsLinkedWithItsTracedCommands checks the links in both directions, and that the
// fan-out of each traced command is traced.
func TestAGroupIsLinkedWithItsTracedCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, spans := record()
		s := &store{entered: make(chan struct{}), proceed: make(chan struct{})}
		var traced []chat.Seq
		var p *published
		c := journal.Config{Workers: 1, Trace: tracer, TraceFanout: func(_ chat.ID, seq chat.Seq, fanOut trace.Span) {
			if len(p.entries) > 1 { // more than the first group's
				t.Error("an entry was published before its fan-out was traced")
			}
			traced = append(traced, seq)
			fanOut.Delivered(1, 0)
		}}
		j, p2 := start(t, s, c)
		p = p2
		channel := chat.NewID()
		var senders sync.WaitGroup
		commit := func(isTraced bool, content string) {
			ctx := t.Context()
			if isTraced {
				var event trace.Span
				ctx, event = tracer.Command(ctx, "new_message", time.Now(), chat.NewID())
				defer event.End()
			}
			if _, err := j.Commit(ctx, send(channel, content)); err != nil {
				t.Errorf("commit: %v", err)
			}
		}
		senders.Go(func() { commit(false, "first") })
		<-s.entered
		for i := range 30 {
			senders.Go(func() { commit(i < 3, "fine") })
		}
		senders.Go(func() { commit(true, "refuse me") })
		synctest.Wait() // all are queued behind the first
		s.proceed <- struct{}{}
		<-s.entered
		s.proceed <- struct{}{}
		senders.Wait()

		groups, events, commits := named(spans, "journal group"), named(spans, "new_message"), named(spans, "journal commit")
		if len(groups) != 1 || len(events) != 4 || len(commits) != 4 || len(named(spans, "journal queue")) != 4 {
			t.Fatalf("%d groups, %d commands, %d commits; want 1, 4 and 4", len(groups), len(events), len(commits))
		}
		linked := make(map[any]bool)
		for _, l := range groups[0].Links() {
			linked[l.SpanContext.SpanID()] = true
		}
		parents := 0
		for _, e := range events {
			if !linked[e.SpanContext().SpanID()] {
				t.Errorf("the group is not linked with %v", e.SpanContext().SpanID())
			}
			if groups[0].Parent().SpanID() == e.SpanContext().SpanID() {
				parents++
			}
		}
		for _, c := range commits {
			if len(c.Links()) != 1 || c.Links()[0].SpanContext.SpanID() != groups[0].SpanContext().SpanID() {
				t.Errorf("%v is not linked with its group", c.Links())
			}
		}
		if parents != 1 || len(linked) != 4 || len(traced) != 3 || len(named(spans, "hub fan-out")) != 3 {
			t.Errorf("%d parents, %d links, fan-outs of %v; want 1, 4 and three", parents, len(linked), traced)
		}
	})
}

// TestARefusedChangesSpanEnds with the reason of the refusal.
func TestARefusedChangesSpanEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, spans := record()
		s := &store{entered: make(chan struct{}, 99), proceed: make(chan struct{})}
		j, _ := start(t, s, journal.Config{Workers: 1, Trace: tracer})
		var first sync.WaitGroup
		first.Go(func() { _, _ = j.Commit(t.Context(), send(chat.NewID(), "first")) })
		<-s.entered
		ctx, event := tracer.Command(t.Context(), "new_message", time.Now(), chat.NewID())
		_, err := j.Commit(ctx, send(chat.NewID(), "late"))
		wantCode(t, err, chat.Overloaded)
		event.Result(err)
		close(s.proceed)
		first.Wait()
		queued := named(spans, "journal queue")
		if len(queued) != 1 || queued[0].Status().Code != codes.Error || len(named(spans, "journal group")) != 0 {
			t.Errorf("spans %v, want one of the queue with an error", queued)
		}
	})
}

func TestTracingCostsUntracedChangesNoAllocation(t *testing.T) {
	tracer, _ := record()
	allocations := func(c journal.Config) float64 {
		j, _ := start(t, &store{}, c)
		change := send(chat.NewID(), "x")
		return testing.AllocsPerRun(500, func() {
			if _, err := j.Commit(t.Context(), change); err != nil {
				t.Error(err)
			}
		})
	}
	without, with := allocations(journal.Config{Workers: 1}), allocations(journal.Config{Workers: 1, Trace: tracer})
	if with > without {
		t.Errorf("%v allocations, %v without a tracer", with, without)
	}
}
