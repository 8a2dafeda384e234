package trace_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/trace"
)

func record(ratio float64) (*trace.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test"), ratio), spans
}

// untracedCommand calls what a command that is not traced calls on its way.
func untracedCommand(t *trace.Tracer, id chat.ID, at time.Time) {
	ctx, span := t.Command(context.Background(), "new_message", at, id)
	change := t.Queued(ctx, id)
	var traced []*trace.Change
	if change != nil {
		traced = append(traced, change)
	}
	group, commit := t.Group(ctx, "journal group", 1, traced)
	if t.Traces(group) {
		panic("traced")
	}
	commit.Result(nil)
	change.Committed(nil)
	change.Refused(nil)
	t.Ack(ctx).End()
	_ = span.ID()
	span.Result(nil)
}

func TestUntracedCommandAllocatesNothing(t *testing.T) {
	notChosen, _ := record(0)
	id, now := chat.NewID(), time.Now()
	for name, tracer := range map[string]*trace.Tracer{"tracing is off": nil, "not chosen": notChosen} {
		if n := testing.AllocsPerRun(1000, func() { untracedCommand(tracer, id, now) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkCommand(b *testing.B) {
	notChosen, _ := record(0)
	id, now := chat.NewID(), time.Now()
	for _, c := range []struct {
		name   string
		tracer *trace.Tracer
	}{{"off", nil}, {"not-chosen", notChosen}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				untracedCommand(c.tracer, id, now)
			}
		})
	}
	chosen := trace.New(sdk.NewTracerProvider().Tracer("test"), 1)
	b.Run("traced", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tracedCommand(chosen, id, now)
		}
	})
}

// tracedCommand calls what a traced message calls on its way.
func tracedCommand(t *trace.Tracer, id chat.ID, at time.Time) {
	ctx, span := t.Command(context.Background(), "new_message", at, id)
	change := t.Queued(ctx, id)
	grouped, group := t.Group(ctx, "journal group", 1, []*trace.Change{change})
	if t.Traces(grouped) {
		t.Unit(grouped, trace.Unit{
			Name: "commit", System: "postgresql", Host: "db", Port: 5432, Requested: at, Acquired: at,
			Statements: []trace.Statement{{
				Name: "send_known", Names: []string{"begin", "send_known", "commit"}, Started: at, Duration: time.Millisecond,
			}},
		})
	}
	group.Result(nil)
	change.Committed(nil)
	change.FanOut(id, 1).Delivered(1, 0)
	t.Ack(ctx).End()
	span.Result(nil)
}

func request(traceparents ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/channels/", nil)
	r.Header["Traceparent"] = traceparents
	return r
}

// A trace of a caller, and the traceparent headers by which the caller says whether it
// records it.
const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	sampled      = "00-" + callersTrace + "-b7ad6b7169203331-01"
	notSampled   = "00-" + callersTrace + "-b7ad6b7169203331-00"
)

func TestRequestFollowsItsTraceparent(t *testing.T) {
	for _, c := range []struct {
		name         string
		traceparents []string
		ratio        float64
		traced       bool
	}{
		{"no header, ratio 0", nil, 0, false},
		{"no header, ratio 1", nil, 1, true},
		{"the caller traces it", []string{sampled}, 0, true},
		{"the caller does not trace it", []string{notSampled}, 1, false},
		{"an invalid header is ignored", []string{"01;drop"}, 1, true},
		{"two headers are ignored", []string{sampled, sampled}, 0, false},
	} {
		tracer, spans := record(c.ratio)
		_, span := tracer.Request(request(c.traceparents...), time.Now())
		span.Answered(200)
		if ended := len(spans.Ended()) == 1; ended != c.traced || span.On() != c.traced {
			t.Errorf("%s: recorded %v, On() %v, want %v", c.name, ended, span.On(), c.traced)
		}
		if inCallers := span.ID() == callersTrace; inCallers != (c.name == "the caller traces it") {
			t.Errorf("%s: the trace is %q", c.name, span.ID())
		}
	}
}

// Beyond a rate, the ratio decides and not the caller.
func TestCallersCannotHaveEverythingTraced(t *testing.T) {
	tracer, spans := record(0)
	for range 10_000 {
		_, span := tracer.Request(request(sampled), time.Now())
		span.Answered(200)
	}
	if n := len(spans.Ended()); n < 100 || n > 5000 { // more than 100 because time passes
		t.Errorf("%d of 10,000 requests were traced, want 100 to 5,000", n)
	}
}

// The span of a refusal is an error only if the server is at fault, and holds no text
// that people may have written.
func TestResultOfRefusals(t *testing.T) {
	type result struct {
		Result string
		Status sdk.Status
	}
	for _, c := range []struct {
		err  error
		want result
	}{
		{nil, result{"ok", sdk.Status{}}},
		{chat.ErrAccessDenied, result{"forbidden", sdk.Status{}}},
		{
			&chat.Error{Code: chat.Overloaded, Message: "secret"},
			result{"overloaded", sdk.Status{Code: codes.Error, Description: "overloaded"}},
		},
		{
			errors.New("Key (content)=(secret) already exists"),
			result{"internal", sdk.Status{Code: codes.Error, Description: "internal"}},
		},
	} {
		tracer, spans := record(1)
		_, span := tracer.Command(t.Context(), "new_message", time.Now(), chat.NewID())
		span.Result(c.err)
		got := result{Status: spans.Ended()[0].Status()}
		for _, a := range spans.Ended()[0].Attributes() {
			if a.Key == "chowk.result" {
				got.Result = a.Value.AsString()
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.err, diff)
		}
	}
}
