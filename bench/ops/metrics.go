//go:build !windows

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chowk-chat/chowk/bench/internal/usage"
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/store"
)

const (
	// innerServer as the first argument makes this program a server: the packages of a
	// node, wired as in the server, with metrics or without.
	innerServer = "inner-server"
	roundLength = 1500 * time.Millisecond
	pairsOf     = 100 // senders
)

// inner configures such a server, hello is its first output.
type (
	inner struct {
		Database string
		Metrics  bool
		Senders  int
	}
	hello struct {
		URL      string
		Channels []chat.ID
	}
)

// subject is a server in a process of its own.
type subject struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	group *senderGroup
}

// metrics measures two servers in turns: one with metrics and one without.
func (b *bench) metrics(ctx context.Context, r *result) (err error) {
	var both [2]*subject // without, with
	for i := range both {
		if both[i], err = b.subject(ctx, i == 1); err != nil {
			return err
		}
		defer both[i].end()
	}
	for _, s := range both { // until caches are warm and plans are made
		if _, err := s.round(ctx); err != nil {
			return err
		}
	}
	started, before := time.Now(), usage.Machine()
	var costs [2][]float64
	var own float64
	for round := range b.rounds {
		for i := range both {
			if round%2 == 1 {
				i = 1 - i
			}
			cost, err := both[i].round(ctx)
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], cost.perMillion)
			own += cost.seconds
		}
	}
	r.Foreign = max(0, (usage.Machine()-before-own)/time.Since(started).Seconds()*100)
	r.figure("CPU of the server without metrics", mean(costs[0]), "s per million messages")
	r.figure("CPU of the server with metrics", mean(costs[1]), "s per million messages")
	var more []float64 // in percent, of each pair
	for i := range costs[0] {
		more = append(more, (costs[1][i]/costs[0][i]-1)*100)
	}
	half := 1.96 * deviation(more) / math.Sqrt(float64(len(more)))
	r.figure("more with metrics, mean of the pairs", mean(more), "%")
	r.figure("  95% confidence: plus or minus", half, "%")
	r.mark("CPU of metrics, % of a command's", mean(more), 3)
	return nil
}

func mean(all []float64) (m float64) {
	for _, v := range all {
		m += v / float64(len(all))
	}
	return m
}

func deviation(all []float64) float64 {
	m, sum := mean(all), 0.0
	for _, v := range all {
		sum += (v - m) * (v - m)
	}
	return math.Sqrt(sum / float64(max(len(all)-1, 1)))
}

func (b *bench) subject(ctx context.Context, withMetrics bool) (*subject, error) {
	url, err := b.database("postgres")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(inner{url, withMetrics, pairsOf})
	if err != nil {
		return nil, err
	}
	s := &subject{cmd: exec.Command(self, innerServer, string(order))} //nolint:gosec,noctx // this program
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := s.out.ReadBytes('\n')
	var h hello
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	if err == nil {
		err = s.connect(ctx, h)
	}
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *subject) connect(ctx context.Context, h hello) error {
	s.group = &senderGroup{}
	for i := range len(h.Channels) * perChannel {
		t, err := dial(ctx, h.URL, innerUser(i), h.Channels[i/perChannel])
		if err != nil {
			return err
		}
		s.group.all = append(s.group.all, t)
	}
	return nil
}

func innerUser(i int) chat.UserID { return chat.UserID("sender-" + strconv.Itoa(i)) }

func (s *subject) end() {
	if s.group != nil {
		s.group.close()
	}
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// cost is the cost of one round.
type cost struct {
	perMillion float64 // CPU seconds of the server per million messages
	seconds    float64 // of all our processes
}

// round lets all senders send for a while.
func (s *subject) round(ctx context.Context) (c cost, err error) {
	own := usage.Own()
	before, err := s.used()
	if err != nil {
		return c, err
	}
	run, cancel := context.WithTimeout(ctx, roundLength)
	defer cancel()
	if err := s.group.sendUnpaced(run); err != nil {
		return c, err
	}
	after, err := s.used()
	if err != nil {
		return c, err
	}
	n := 0
	for _, m := range s.group.messages(s.group.began) {
		if m.outcome == acked {
			n++
		}
	}
	if n == 0 {
		return c, errors.New("nothing was acknowledged")
	}
	for _, t := range s.group.all { // what was sent is no longer needed
		t.mu.Lock()
		t.sent, t.next = t.sent[:0], 0
		t.mu.Unlock()
	}
	return cost{(after - before) / float64(n) * 1e6, after - before + usage.Own() - own}, nil
}

// used returns the server's CPU time.
func (s *subject) used() (seconds float64, err error) {
	if _, err := fmt.Fprintln(s.in, "used"); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanln(s.out, &seconds)
	return seconds, err
}

// serveInner is the process of such a server: it prints its address, and then its CPU
// time for each line of input.
func serveInner(order string) {
	if err := innerMain(order); err != nil {
		fmt.Fprintln(os.Stderr, "benchops: inner server:", err)
		os.Exit(1)
	}
}

func innerMain(order string) error {
	var o inner
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	numbers := discard()
	if o.Metrics {
		numbers = metric.New()
	}
	db, err := store.Open(ctx, store.Options{URL: o.Database, Observer: numbers.Store})
	if err != nil {
		return err
	}
	live := hub.Start(hub.Config{Store: db, Metrics: numbers.Hub})
	writer := journal.Start(journal.Config{Store: db, Publisher: live, Metrics: numbers.Journal})
	poller, err := netpoll.New(netpoll.Options{})
	if err != nil {
		return err
	}
	rules := &command.Service{Journal: writer, Store: db, Realtime: live, Now: time.Now}
	gate := gateway.New(gateway.Config{
		Commands: rules, Hub: live, Auth: auth.New(auth.Options{Mode: auth.ModeNone, Store: db}),
		Origins: &auth.OriginPolicy{}, Poller: poller,
		Metrics: numbers.Gateway, Epoch: db.Epoch(),
		Limits: gateway.Limits{CommandsPerSecond: 100_000, CommandsBurst: 1_000_000},
	})
	channels, err := innerChannels(ctx, db, rules, o.Senders)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/ws/{user_id}", gate)
	door := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	go func() { _ = door.Serve(l) }() // ends with the process
	say := json.NewEncoder(os.Stdout)
	if err := say.Encode(hello{"http://" + l.Addr().String(), channels}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(usage.Own())
	}
	return nil // and all of it ends with the process
}

func innerChannels(ctx context.Context, db *store.Store, rules *command.Service, senders int) ([]chat.ID, error) {
	channels := make([]chat.ID, senders/perChannel)
	g, ctx := errgroup.WithContext(ctx)
	for c := range channels {
		g.Go(func() error { // ends when its channel is created
			var members []chat.UserID
			for i := range perChannel {
				u := innerUser(c*perChannel + i)
				if _, err := db.EnsureUser(ctx, chat.User{ID: u, Name: string(u), IsActive: true}); err != nil {
					return err
				}
				members = append(members, u)
			}
			ch, err := rules.CreateChannel(ctx, command.Caller{Actor: model.UserActor(members[0])},
				chat.CreateChannelRequest{Name: "bench", MemberIDs: members[1:]})
			if err != nil {
				return err
			}
			channels[c] = ch.ID
			return nil
		})
	}
	return channels, g.Wait()
}
