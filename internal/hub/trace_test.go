package hub_test

import (
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/trace"
)

// endedSpans receives spans as they end.
type endedSpans chan sdk.ReadOnlySpan

// traceFanout traces the fan-out of an entry.
func (w *world) traceFanout(id chat.ID, seq chat.Seq, into endedSpans) {
	spans := tracetest.NewSpanRecorder()
	tracer := trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(forward{spans, into})).Tracer("test"), 1)
	ctx, _ := tracer.Command(w.t.Context(), "new_message", time.Now(), chat.NewID())
	w.hub.TraceFanout(id, seq, tracer.Queued(ctx, id).FanOut(id, seq))
}

type forward struct {
	sdk.SpanProcessor
	into endedSpans
}

func (f forward) OnEnd(s sdk.ReadOnlySpan) { f.into <- s }

// fanout is the numbers in the span of a fan-out.
type fanout struct{ Seq, Written, Behind int64 }

func (spans endedSpans) next(t *testing.T) (f fanout) {
	t.Helper()
	select {
	case s := <-spans:
		for _, a := range s.Attributes() {
			switch a.Key {
			case "chowk.seq":
				f.Seq = a.Value.AsInt64()
			case "chowk.listeners.written":
				f.Written = a.Value.AsInt64()
			case "chowk.listeners.behind":
				f.Behind = a.Value.AsInt64()
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the span did not end")
	}
	return f
}

func TestASpanCountsTheListenersOfAFanout(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob", "slow")
	ada, bob, slow := w.connect("ada"), w.connect("bob"), w.connect("slow")
	slow.stall()
	w.publish(id, message("bob", "which the slow socket accepts a part of"))
	for _, c := range []*conn{ada, bob, slow} {
		c.frames(t, 1)
	}
	spans := make(endedSpans, 9)
	w.traceFanout(id, 2, spans)
	w.publish(id, message("bob", "traced"))
	equal(t, "span", spans.next(t), fanout{Seq: 2, Written: 2, Behind: 1})
	slow.drain()
	inOrder(t, slow.frames(t, 2), id, 1, 2)
}

// TestASpanEndsAfterAGapIsFilled; one of an entry that has no listeners, or was fanned
// out before, ends without that.
func TestASpanEndsAfterAGapIsFilled(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	spans := make(endedSpans, 9)
	w.traceFanout(id, 1, spans)
	equal(t, "span without listeners", spans.next(t), fanout{Seq: 1})
	c := w.connect("ada")
	w.write(id, messages("bob", 3)...) // not published
	w.traceFanout(id, 4, spans)
	w.publish(id, message("bob", "beyond the gap"))
	equal(t, "span beyond a gap", spans.next(t), fanout{Seq: 4, Written: 1})
	w.traceFanout(id, 2, spans)
	w.publish(id, message("bob", "next"))
	if got := spans.next(t).Seq; got != 2 {
		t.Errorf("the span of a repeated entry is of seq %d, want 2", got)
	}
	inOrder(t, c.frames(t, 5), id, 1, 5)
}
