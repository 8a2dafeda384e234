package store_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/trace"
)

// spanOf gives a span's status and attributes.
func spanOf(t *testing.T, spans *tracetest.SpanRecorder, name string) (codes.Code, map[string]string) {
	t.Helper()
	for _, s := range spans.Ended() {
		if s.Name() == name {
			attrs := make(map[string]string)
			for _, a := range s.Attributes() {
				attrs[string(a.Key)] = a.Value.String()
			}
			return s.Status().Code, attrs
		}
	}
	t.Fatalf("no span %q", name)
	return 0, nil
}

// TestWhatGoesWrongWithAConnectionIsTraced: none to be had in time, and a
// statement that is cut off at the hard limit.
func TestWhatGoesWrongWithAConnectionIsTraced(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	spans := tracetest.NewSpanRecorder()
	tracer := trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test"), 1)
	w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}, HoldSoft: 500 * time.Millisecond, HoldHard: 2 * time.Second, Trace: tracer})
	if _, err := w.FindUsers(t.Context(), "ada", 1); err != nil || len(spans.Ended()) != 0 {
		t.Fatalf("what is done for nobody who is traced: %v, %d spans", err, len(spans.Ended()))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, event := tracer.Event(ctx, "test", time.Now(), chat.NewID())
	defer event.End()
	letGo := lockUsers(t, url)
	defer letGo()
	cut := make(chan error)
	go func() {
		_, err := w.FindUsers(ctx, "ada", 1)
		cut <- err
	}()
	eventually(t, "the pool is full", func() bool { return w.PoolStats().InUse == 1 })
	if _, err := w.Channels(ctx, "ada", false); code(err) != chat.Overloaded {
		t.Fatalf("got %v", err)
	}
	status, attrs := spanOf(t, spans, "pool wait")
	if status != codes.Error || attrs["chowk.db.unit"] != "channels" || attrs["error.type"] != "timeout" {
		t.Errorf("who waited in vain: %v %v", status, attrs)
	}
	if err := <-cut; err == nil {
		t.Fatal("not cut off")
	}
	status, attrs = spanOf(t, spans, "unit of work find_users")
	if status != codes.Error || attrs["error.type"] != "held_too_long" {
		t.Errorf("the unit: %v %v", status, attrs)
	}
	status, attrs = spanOf(t, spans, "find_users")
	if status != codes.Error || attrs["db.response.status_code"] == "" || attrs["db.system.name"] != "postgresql" || attrs["server.port"] == "" {
		t.Errorf("the statement: %v %v", status, attrs)
	}
}
