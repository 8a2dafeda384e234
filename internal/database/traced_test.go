package database_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/trace"
)

// failedSpan returns the attributes of a span that must have failed.
func failedSpan(t *testing.T, spans *tracetest.SpanRecorder, name string) map[string]string {
	t.Helper()
	for _, s := range spans.Ended() {
		if s.Name() != name {
			continue
		}
		if status := s.Status().Code; status != codes.Error {
			t.Errorf("span %q has status %v, want an error", name, status)
		}
		attrs := make(map[string]string)
		for _, a := range s.Attributes() {
			attrs[string(a.Key)] = a.Value.String()
		}
		return attrs
	}
	t.Fatalf("there is no span %q", name)
	return nil
}

// TestFailuresWithConnectionsAreTraced: no connection in time, and a statement that is
// cancelled at the hard limit.
func TestFailuresWithConnectionsAreTraced(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	spans := tracetest.NewSpanRecorder()
	tracer := trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test"), 1)
	w := open(t, database.Options{
		URL: url, Pool: database.Pool{Size: 2, Overflow: -1}, Trace: tracer,
		HoldSoft: 500 * time.Millisecond, HoldHard: 2 * time.Second,
	})
	if err := w.readMeta(t.Context()); err != nil || len(spans.Ended()) != 0 {
		t.Fatalf("without a traced caller: %v, %d spans", err, len(spans.Ended()))
	}
	ctx, cancel := context.WithTimeout(t.Context(), databasetest.Patience)
	defer cancel()
	ctx, event := tracer.Command(ctx, "test", time.Now(), chat.NewID())
	defer event.End()
	unlock := pgtest.Lock(t, url, "users")
	defer unlock()
	cancelled := make(chan error)
	go func() {
		_, err := w.findUsers(ctx, "ada")
		cancelled <- err
	}()
	w.waitForUsage(t, usage{InUse: 1})
	if err := w.readMeta(ctx); code(err) != chat.Overloaded {
		t.Fatalf("got %v, want overloaded", err)
	}
	if err := <-cancelled; err == nil {
		t.Fatal("the statement was not cancelled")
	}
	wait := failedSpan(t, spans, "pool wait")
	if wait["chowk.db.unit"] != "read_meta" || wait["error.type"] != "timeout" {
		t.Errorf("the unit that waited in vain has %v", wait)
	}
	if unit := failedSpan(t, spans, "unit of work find_users"); unit["error.type"] != "held_too_long" {
		t.Errorf("the cancelled unit has %v", unit)
	}
	statement := failedSpan(t, spans, "find_users")
	if statement["db.system.name"] != "postgresql" {
		t.Errorf("the cancelled statement has system %q, want postgresql", statement["db.system.name"])
	}
	for _, key := range []string{"db.response.status_code", "server.port"} {
		if statement[key] == "" {
			t.Errorf("the cancelled statement has no %s", key)
		}
	}
}
