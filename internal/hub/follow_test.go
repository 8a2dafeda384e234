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

// ended hands on spans as they end.
type ended chan sdk.ReadOnlySpan

// followed has the telling of an entry traced.
func (w *world) followed(id chat.ID, seq chat.Seq, into ended) {
	spans := tracetest.NewSpanRecorder()
	tracer := trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(handOn{spans, into})).Tracer("test"), 1)
	ctx, _ := tracer.Event(w.t.Context(), "new_message", time.Now(), chat.NewID())
	w.hub.Follow(id, seq, tracer.Queued(ctx, id).FanOut(id, seq))
}

type handOn struct {
	sdk.SpanProcessor
	into ended
}

func (h handOn) OnEnd(s sdk.ReadOnlySpan) { h.into <- s }

func (e ended) next(t *testing.T) map[string]int64 {
	t.Helper()
	select {
	case s := <-e:
		counts := make(map[string]int64)
		for _, a := range s.Attributes() {
			counts[string(a.Key)] = a.Value.AsInt64()
		}
		return counts
	case <-time.After(10 * time.Second):
		t.Fatal("the span did not end")
		return nil
	}
}

// TestAFanOutIsFollowedToItsEnd says who was written to and who takes no more.
func TestAFanOutIsFollowedToItsEnd(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob", "slow")
	ada, bob, slow := w.connect("ada"), w.connect("bob"), w.connect("slow")
	slow.stall()
	w.publish(id, message("bob", "which the slow one takes half of"))
	for _, c := range []*conn{ada, bob, slow} {
		c.frames(t, 1)
	}
	spans := make(ended, 9)
	w.followed(id, 2, spans)
	w.publish(id, message("bob", "traced"))
	got := spans.next(t)
	if got["chowk.seq"] != 2 || got["chowk.listeners.written"] != 2 || got["chowk.listeners.behind"] != 1 {
		t.Errorf("%v", got)
	}
	slow.drain()
	inOrder(t, slow.frames(t, 2), id, 1, 2)
}

// TestAFanOutBehindAHoleIsFollowed until the hole is filled, and one that nobody
// hears or that is over ends at once.
func TestAFanOutBehindAHoleIsFollowed(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	spans := make(ended, 9)
	w.followed(id, 1, spans)
	if got := spans.next(t); got["chowk.listeners.written"] != 0 {
		t.Errorf("to nobody: %v", got)
	}
	c := w.connect("ada")
	w.write(id, messages("bob", 3)...) // published to nobody
	w.followed(id, 4, spans)
	w.publish(id, message("bob", "beyond the hole"))
	if got := spans.next(t); got["chowk.seq"] != 4 || got["chowk.listeners.written"] != 1 {
		t.Errorf("beyond a hole: %v", got)
	}
	w.followed(id, 2, spans)
	w.publish(id, message("bob", "next"))
	if got := spans.next(t); got["chowk.seq"] != 2 {
		t.Errorf("a repeated one: %v", got)
	}
	inOrder(t, c.frames(t, 5), id, 1, 5)
}
