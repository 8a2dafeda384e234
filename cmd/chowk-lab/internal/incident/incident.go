// Package incident shows, on one's own machine, the incident that chowk comes
// from: the same load on the same database in three ways. A connection is held for
// as long as a socket is open; then for as long as an event takes, its broadcast
// included; and chowk. Halfway one client stops reading.
package incident

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
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
	"github.com/chowk-chat/chowk/internal/testkit"
)

// Options are the load and the pool; zero fields are the defaults, those of the
// incident.
type Options struct {
	// DatabaseURL is PostgreSQL's. All that is made there is in a schema of its own,
	// which is dropped at the end.
	DatabaseURL string
	// Chowk is the program.
	Chowk string

	// Sockets are members of one channel, Senders of them send, at Rate messages a
	// second in all, of Bytes.
	Sockets, Senders, Bytes int
	Rate, ConnectRate       float64
	// Duration is that of each way.
	Duration time.Duration
	// Size, Overflow and Timeout are the pool's.
	Size, Overflow int
	Timeout        time.Duration
	// SendBuffer is the models'; 0 is the system's.
	SendBuffer int

	// Say is told whole lines, Line how it goes.
	Say  func(text string)
	Line func(part, text string)
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

// Result is what was seen.
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

// Way is one of the three.
type Way struct {
	Name string `json:"name"`
	// LetIn are the sockets that the server let in.
	LetIn int64 `json:"let_in"`
	// UsableBefore and UsableAfter are how many could be used just before the client
	// stopped reading, and at the end.
	UsableBefore int64 `json:"usable_before"`
	UsableAfter  int64 `json:"usable_at_the_end"`
	// InUseMost are the connections in use at once, before and after that.
	InUseBefore int `json:"in_use_most_before"`
	InUseAfter  int `json:"in_use_most_after"`
	// OpenMost are the connections open at once.
	OpenMost int `json:"open_most"`
	// ExhaustedAt is when every connection was in use and stayed so, in seconds; -1 is
	// never.
	ExhaustedAt float64 `json:"exhausted_at_s"`
	// Unanswered are the messages that had no answer at the end.
	Unanswered int64 `json:"unanswered"`
	// AcksBefore and AcksAfter are per second, the second in the last eighth.
	AcksBefore float64        `json:"acks_per_second_before"`
	AcksAfter  float64        `json:"acks_per_second_at_the_end"`
	AckP99     float64        `json:"ack_p99_ms"`
	LastAck    float64        `json:"last_ack_at_s"`
	Points     []report.Point `json:"points"`
	Pool       []Sample       `json:"pool"`
}

// Sample is a look at the database's list of connections.
type Sample struct {
	At    float64 `json:"at_s"`
	Open  int     `json:"open"`
	InUse int     `json:"in_use"`
}

// The three ways, as they are called everywhere.
const (
	PerSocket = "a connection per socket"
	PerEvent  = "a connection per event"
	Chowk     = "chowk"
)

// A look takes about a millisecond; what chowk holds for a commit is easily missed.
const (
	sampleEvery = 20 * time.Millisecond
	lookTimeout = 2 * time.Second
)

// Run shows the three ways, one after the other. When ctx ends it ends early, with
// what it has.
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
		Started: time.Now(), Connections: o.Size + o.Overflow, Sockets: o.Sockets, Seconds: o.Duration.Seconds(), SilentAt: o.Duration.Seconds() / 2,
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
			Scenario: "incident", Old: true, Run: run, Sockets: o.Sockets, Senders: o.Senders, Rate: o.Rate, Size: o.Bytes, ConnectRate: o.ConnectRate,
			Slow: 1, InFlight: inFlight, Duration: o.Duration, Every: o.Duration / ticks,
		}
		if way.old {
			p.Channels = []chat.ID{chat.ID(channel)}
		}
		w, err := o.show(ctx, db, p, fmt.Sprintf("%d of 3  %-23s", i+1, way.name), fmt.Sprintf("chowk-bench-%s-%d", run, i+1), way.start)
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
	inFlight = 4 // messages of one sender without an answer
	ticks    = 48
)

// server is one that is under load: a model, or chowk.
type server interface {
	URL() string
	Close() error
}

func (o *Options) model(way oldways.Way) func(context.Context, string) (server, error) {
	return func(ctx context.Context, url string) (server, error) {
		return oldways.Start(ctx, oldways.Options{URL: url, Way: way, Size: o.Size, Overflow: o.Overflow, Timeout: o.Timeout, SendBuffer: o.SendBuffer})
	}
}

// chowk starts the real server on the same database, with the same pool.
func (o *Options) chowk(_ context.Context, url string) (server, error) {
	dir, err := os.MkdirTemp("", "chowk-incident-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for chowk: %w", err)
	}
	c := &chowk{dir: dir}
	c.Server, err = testkit.StartServer(testkit.Options{
		Binary: o.Chowk, Dir: dir, Env: []string{"CHOWK_DATABASE_URL=" + url},
		Settings: []string{
			"auth=none", "ops.listen=off", "drain.window=0s",
			fmt.Sprint("pool.size=", o.Size), fmt.Sprint("pool.overflow=", o.Overflow), fmt.Sprint("pool.background-timeout=", o.Timeout),
		},
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// chowk is the real server in a directory of its own.
type chowk struct {
	*testkit.Server
	dir string
}

func (c *chowk) URL() string { return c.Server.URL }

// Close stops the server and removes its directory.
func (c *chowk) Close() error { return errors.Join(c.Stop(), os.RemoveAll(c.dir)) }

// show shows one way.
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
	watch.Go(func() { view.watch(watching, db, application) }) // ends with the way
	r, err := bench.Run(ctx, p, bench.Options{Processes: 1, Keep: true, See: view.see})
	stop()
	watch.Wait()
	if r == nil {
		return nil, err
	}
	w = summary(r, view.samples, o)
	o.say(part + "  " + w.words(o))
	return w, err
}

func (o *Options) say(text string) {
	if o.Say != nil {
		o.Say(text)
	}
}

// view puts together what is seen while a way is shown.
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
		query, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
		open, inUse, err := db.Connections(query, application)
		cancel()
		if err != nil {
			return // a sample that failed is left out
		}
		v.mu.Lock()
		v.samples = append(v.samples, sampled{time.Now(), open, inUse})
		v.mu.Unlock()
	})
}

// see tells how it goes, with the acks of the last moments as a little picture.
func (v *view) see(n bench.Now) {
	if v.options.Line == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	inUse := 0
	for _, s := range v.samples[max(len(v.samples)-recentLooks, 0):] {
		inUse = max(inUse, s.inUse)
	}
	acks := n.Point.Rates["acked"]
	if v.acks = append(v.acks, acks); len(v.acks) > sparks {
		v.acks = v.acks[1:]
	}
	v.options.Line(v.part, fmt.Sprintf("%s %5.1f s  connections %2d/%d  sockets usable %2d/%d  acks %3.0f/s %s", v.part, n.Elapsed.Seconds(),
		inUse, v.options.Size+v.options.Overflow, n.Point.Usable, v.options.Sockets, acks, sparkline(v.acks, v.options.Rate)))
}

const (
	sparks      = 24
	recentLooks = 10
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
		{Name: "of them senders", Value: fmt.Sprint(o.Senders)},
		{Name: "messages a second in all", Value: fmt.Sprint(o.Rate)},
		{Name: "bytes of a message", Value: report.Count(int64(o.Bytes))},
		{Name: "pool", Value: fmt.Sprintf("%d + %d connections, time-out %s", o.Size, o.Overflow, o.Timeout)},
		{Name: "each way", Value: o.Duration.String()},
	}
}
