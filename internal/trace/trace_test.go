package trace_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
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

// event is what an event meets on its way that is not traced.
func event(t *trace.Tracer, id chat.ID, at time.Time) {
	ctx, span := t.Event(context.Background(), "new_message", at, id)
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
	change.GaveUp(nil)
	t.Ack(ctx).End()
	_ = span.ID()
	span.Result(nil)
}

// TestWhatIsNotTracedAllocatesNothing, whether tracing is off or on.
func TestWhatIsNotTracedAllocatesNothing(t *testing.T) {
	unlucky, _ := record(0)
	id, now := chat.NewID(), time.Now()
	for name, tracer := range map[string]*trace.Tracer{"off": nil, "not chosen": unlucky} {
		if n := testing.AllocsPerRun(1000, func() { event(tracer, id, now) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	unlucky, _ := record(0)
	lucky := trace.New(sdk.NewTracerProvider().Tracer("test"), 1)
	id, now := chat.NewID(), time.Now()
	for _, c := range []struct {
		name   string
		tracer *trace.Tracer
	}{{"off", nil}, {"not-chosen", unlucky}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				event(c.tracer, id, now)
			}
		})
	}
	b.Run("traced", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, span := lucky.Event(context.Background(), "new_message", now, id)
			change := lucky.Queued(ctx, id)
			grouped, group := lucky.Group(ctx, "journal group", 1, []*trace.Change{change})
			if lucky.Traces(grouped) {
				lucky.Unit(grouped, trace.Unit{Name: "commit", System: "postgresql", Host: "db", Port: 5432, Asked: now, Taken: now, Statements: []trace.Statement{
					{Name: "send_known", Names: []string{"begin", "send_known", "commit"}, Begun: now, Took: time.Millisecond},
				}})
			}
			group.Result(nil)
			change.Committed(nil)
			change.FanOut(id, 1).Told(1, 0)
			lucky.Ack(ctx).End()
			span.Result(nil)
		}
	})
}

func request(parents ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/channels/", nil)
	r.Header["Traceparent"] = parents
	return r
}

const asked = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestCallersAskForTraces(t *testing.T) {
	for _, c := range []struct {
		name    string
		parents []string
		ratio   float64
		traced  bool
	}{
		{"nobody asks", nil, 0, false},
		{"chance", nil, 1, true},
		{"asked", []string{asked}, 0, true},
		{"the caller does not trace", []string{strings.TrimSuffix(asked, "1") + "0"}, 1, false},
		{"garbage is no parent", []string{"01;drop"}, 1, true},
		{"two are none", []string{asked, asked}, 0, false},
	} {
		tracer, spans := record(c.ratio)
		_, span := tracer.Request(request(c.parents...), time.Now())
		span.Answered(200)
		if got := len(spans.Ended()) == 1; got != c.traced || span.On() != c.traced {
			t.Errorf("%s: traced %v", c.name, got)
		}
		if c.name == "asked" && span.ID() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s: in trace %s", c.name, span.ID())
		}
	}
}

// TestNobodyCanAskForEverything: beyond so many a second, chance decides.
func TestNobodyCanAskForEverything(t *testing.T) {
	tracer, spans := record(0)
	for range 10_000 {
		_, span := tracer.Request(request(asked), time.Now())
		span.Answered(200)
	}
	if n := len(spans.Ended()); n < 100 || n > 5000 { // some more in the time that it took
		t.Errorf("%d were traced", n)
	}
}

// TestOnlyTheServersFaultIsAnError, as with HTTP's status codes, and no text that
// may hold what people wrote is kept.
func TestOnlyTheServersFaultIsAnError(t *testing.T) {
	for _, c := range []struct {
		err    error
		status codes.Code
		result string
	}{
		{nil, codes.Unset, "ok"},
		{chat.ErrAccessDenied, codes.Unset, "forbidden"},
		{&chat.Error{Code: chat.Overloaded, Message: "hush"}, codes.Error, "overloaded"},
		{errors.New("Key (content)=(hush) already exists"), codes.Error, "internal"},
	} {
		tracer, spans := record(1)
		_, span := tracer.Event(t.Context(), "new_message", time.Now(), chat.NewID())
		span.Result(c.err)
		got := spans.Ended()[0]
		i := slices.IndexFunc(got.Attributes(), func(a attribute.KeyValue) bool { return a.Key == "chowk.result" })
		if got.Status().Code != c.status || got.Attributes()[i].Value.AsString() != c.result || strings.Contains(got.Status().Description, "hush") {
			t.Errorf("%v: %v %v", c.err, got.Status(), got.Attributes())
		}
	}
}
