// Package incident replays the outage that led to chowk: the same load on the same
// database, three ways. The first server holds a connection for as long as a socket is
// open, the second for as long as an event takes, broadcast included; the third is
// chowk. Halfway, one client stops reading.
package incident

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/cmd/chowk-lab/internal/oldways"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/bench"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// Options are the load and the pool; zero fields have the incident's values.
type Options struct {
	// DatabaseURL is a PostgreSQL database. Everything is created in a schema that is
	// dropped at the end.
	DatabaseURL string
	// Chowk is the path of the server's binary.
	Chowk string

	// Sockets is the number of members of one channel. Senders of them send messages of
	// Bytes, at Rate messages per second in total.
	Sockets, Senders, Bytes int
	Rate, ConnectRate       float64
	// Duration is the duration of each of the three runs.
	Duration time.Duration
	// Size, Overflow and Timeout configure the pool.
	Size, Overflow int
	Timeout        time.Duration
	// SendBuffer is the models' socket buffer in bytes; 0 for the system's default.
	SendBuffer int

	// Print is called with complete lines, Line with the progress.
	Print func(text string)
	Line  func(part, text string)
}

func (o *Options) complete() {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.Sockets, 45)
	set(&o.Senders, 44)
	set(&o.Bytes, 8000)
	set(&o.Size, 10)
	set(&o.Overflow, 20)
	if o.Rate == 0 {
		o.Rate = 80
	}
	if o.ConnectRate == 0 {
		o.ConnectRate = 15
	}
	if o.Duration == 0 {
		o.Duration = 24 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
}

// Result is the result of all three runs.
type Result struct {
	Started     time.Time        `json:"started"`
	Machine     string           `json:"machine"`
	Interrupted bool             `json:"interrupted"`
	Settings    []report.Setting `json:"settings"`
	Connections int              `json:"pool_connections"`
	Sockets     int              `json:"sockets"`
	Seconds     float64          `json:"seconds"`
	// SilentAt is when the client stops reading, in seconds.
	SilentAt float64 `json:"silent_at_s"`
	Ways     []Way   `json:"ways"`
}

// Way is the result of one run.
type Way struct {
	Name string `json:"name"`
	// LetIn is the number of sockets that the server accepted.
	LetIn int64 `json:"let_in"`
	// UsableBefore and UsableAfter are the numbers of usable sockets just before the
	// client stopped reading, and at the end.
	UsableBefore int64 `json:"usable_before"`
	UsableAfter  int64 `json:"usable_at_the_end"`
	// InUseBefore and InUseAfter are the most connections in use at one time, before and
	// after that.
	InUseBefore int `json:"in_use_most_before"`
	InUseAfter  int `json:"in_use_most_after"`
	// OpenMost is the most connections open at one time.
	OpenMost int `json:"open_most"`
	// ExhaustedAt is when all connections came into use for good, in seconds; -1 for
	// never.
	ExhaustedAt float64 `json:"exhausted_at_s"`
	// Unanswered is the number of messages without an answer at the end.
	Unanswered int64 `json:"unanswered"`
	// AcksBefore and AcksAfter are rates; the second is that of the last eighth of the
	// run.
	AcksBefore float64        `json:"acks_per_second_before"`
	AcksAfter  float64        `json:"acks_per_second_at_the_end"`
	AckP99     float64        `json:"ack_p99_ms"`
	LastAck    float64        `json:"last_ack_at_s"`
	Points     []report.Point `json:"points"`
	Pool       []Sample       `json:"pool"`
}

// Sample is one poll of the database's connections.
type Sample struct {
	At    float64 `json:"at_s"`
	Open  int     `json:"open"`
	InUse int     `json:"in_use"`
}

// The names of the three ways.
const (
	PerSocket = "a connection per socket"
	PerEvent  = "a connection per event"
	Chowk     = "chowk"
)

// A poll takes about a millisecond, so most of chowk's commits go unseen.
const (
	sampleEvery = 20 * time.Millisecond
	pollTimeout = 2 * time.Second
)

// Run runs the three servers, one after the other. When ctx ends, it ends early and
// returns what it has.
func Run(ctx context.Context, o Options) (result *Result, err error) {
	o.complete()
	var b [4]byte
	rand.Read(b[:])
	run := hex.EncodeToString(b[:])
	db, err := oldways.Open(ctx, o.DatabaseURL, "chowk_bench_"+run)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	channel := uuid.New()
	members := make([]string, o.Sockets)
	for i := range members {
		members[i] = fmt.Sprintf("bench-%s-%d", run, i)
	}
	if err := db.Prepare(ctx, channel.String(), members); err != nil {
		return nil, err
	}
	result = &Result{
		Started: time.Now(), Connections: o.Size + o.Overflow, Sockets: o.Sockets, Seconds: o.Duration.Seconds(),
		SilentAt: o.Duration.Seconds() / 2,
		Machine:  fmt.Sprintf("%s/%s with %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Settings: o.settings(),
	}
	for i, way := range []struct {
		name  string
		start func(ctx context.Context, url string) (server, error)
		old   bool
	}{
		{PerSocket, o.model(oldways.PerSocket), true},
		{PerEvent, o.model(oldways.PerEvent), true},
		{Chowk, o.chowk, false},
	} {
		if ctx.Err() != nil {
			break
		}
		p := bench.Plan{
			Scenario: "incident", Old: true, Run: run, Sockets: o.Sockets, Senders: o.Senders, Rate: o.Rate, Size: o.Bytes,
			ConnectRate: o.ConnectRate,
			Slow:        1, InFlight: inFlight, Duration: o.Duration, Every: o.Duration / ticks,
		}
		if way.old {
			p.Channels = []chat.ID{chat.ID(channel)}
		}
		w, err := o.show(ctx, db, p, fmt.Sprintf("%d of 3  %-23s", i+1, way.name), fmt.Sprintf("chowk-bench-%s-%d", run, i+1),
			way.start)
		if w != nil {
			w.Name = way.name
			result.Ways = append(result.Ways, *w)
		}
		if err != nil {
			return result, fmt.Errorf("%s: %w", way.name, err)
		}
	}
	result.Interrupted = ctx.Err() != nil
	return result, nil
}

const (
	inFlight = 4 // unanswered messages of one sender
	ticks    = 48
)

// server is a server under load: a model, or chowk.
type server interface {
	URL() string
	Close() error
}

func (o *Options) model(way oldways.Way) func(context.Context, string) (server, error) {
	return func(ctx context.Context, url string) (server, error) {
		return oldways.Start(ctx, oldways.Options{
			URL: url, Way: way, Size: o.Size, Overflow: o.Overflow, Timeout: o.Timeout,
			SendBuffer: o.SendBuffer,
		})
	}
}

// show runs one server.
func (o *Options) show(ctx context.Context, db *oldways.Database, p bench.Plan, part, application string,
	start func(context.Context, string) (server, error),
) (w *Way, err error) {
	url, err := db.URL(application)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p.URL = s.URL()
	view := &view{options: o, part: part}
	var watch sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	watch.Go(func() { view.watch(watching, db, application) }) // ends with the run
	r, err := bench.Run(ctx, p, bench.Options{Processes: 1, Keep: true, OnProgress: view.show})
	stop()
	watch.Wait()
	if r == nil {
		return nil, err
	}
	w = summary(r, view.samples, o)
	o.print(part + "  " + w.words(o))
	return w, err
}

func (o *Options) print(text string) {
	if o.Print != nil {
		o.Print(text)
	}
}

// view collects what is seen during a run.
type view struct {
	options *Options
	part    string

	mu      sync.Mutex // guards what follows
	samples []sampled
	acks    []float64
}

type sampled struct {
	at          time.Time
	open, inUse int
}

func (v *view) watch(ctx context.Context, db *oldways.Database, application string) {
	async.Every(ctx, sampleEvery, func() {
		// A query that is cut short would cost the connection.
		query, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
		open, inUse, err := db.Connections(query, application)
		cancel()
		if err != nil {
			return // a failed poll is left out
		}
		v.mu.Lock()
		v.samples = append(v.samples, sampled{time.Now(), open, inUse})
		v.mu.Unlock()
	})
}

// show prints the progress, with a sparkline of the latest acks.
func (v *view) show(n bench.Now) {
	if v.options.Line == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	inUse := 0
	for _, s := range v.samples[max(len(v.samples)-recentSamples, 0):] {
		inUse = max(inUse, s.inUse)
	}
	acks := n.Point.Rates["acked"]
	if v.acks = append(v.acks, acks); len(v.acks) > sparks {
		v.acks = v.acks[1:]
	}
	v.options.Line(v.part, fmt.Sprintf("%s %5.1f s  connections %2d/%d  sockets usable %2d/%d  acks %3.0f/s %s", v.part,
		n.Elapsed.Seconds(),
		inUse, v.options.Size+v.options.Overflow, n.Point.Usable, v.options.Sockets, acks, sparkline(v.acks, v.options.Rate)))
}

const (
	sparks        = 24
	recentSamples = 10
)

func sparkline(values []float64, most float64) string {
	var b strings.Builder
	steps := []rune("▁▂▃▄▅▆▇█")
	for _, v := range values {
		b.WriteRune(steps[max(min(int(v/most*float64(len(steps))), len(steps)-1), 0)])
	}
	return b.String()
}

func (o *Options) settings() []report.Setting {
	return []report.Setting{
		{Name: "members of the channel", Value: fmt.Sprint(o.Sockets)},
		{Name: "  of them senders", Value: fmt.Sprint(o.Senders)},
		{Name: "messages per second in total", Value: fmt.Sprint(o.Rate)},
		{Name: "bytes per message", Value: report.Count(int64(o.Bytes))},
		{Name: "pool", Value: fmt.Sprintf("%d + %d connections, timeout %s", o.Size, o.Overflow, o.Timeout)},
		{Name: "each run", Value: o.Duration.String()},
	}
}
