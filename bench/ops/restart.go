//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/async"
)

const (
	restartChannel = 20 // members of a channel, one of whom sends
	dialsAtOnce    = 64
	handshakes     = 2000 // limits.handshakes-per-second's default
)

// restartClient is one client of the restart, as an application would use it.
type restartClient struct {
	group  *restartClients
	client *client.Client

	mu        sync.Mutex // guards what follows
	connected []time.Time
	last      chat.Seq // received
	received  int
	broken    string // the first error in the order of entries
}

// restartClients is all clients.
type restartClients struct {
	clients  []*restartClient
	channels []chat.ID
	ready    sync.WaitGroup // reading

	mu   sync.Mutex // guards what follows
	sent []message
	dups int
	errs int
}

// restart stops the server under load, and starts it again.
func (b *bench) restart(ctx context.Context, r *result, kind string) error {
	url, err := b.database(kind)
	if err != nil {
		return err
	}
	s, err := b.serve(ctx, url, "--drain.window="+b.window.String())
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }()
	t, err := connectAll(ctx, s.url, b.sockets)
	if t != nil {
		defer t.close()
	}
	if err != nil {
		return err
	}
	others := b.foreign(s)
	watched := s.watch(ctx)
	talking, quiet := context.WithCancel(ctx)
	var talk sync.WaitGroup
	talk.Go(func() { t.sendAt(talking, b.rate) }) // ends with quiet
	begin := time.Now()
	async.Sleep(ctx, calm)
	signaled, ended, err := s.replace(ctx)
	if err == nil {
		err = t.awaitReconnects(ctx, signaled)
	}
	returned := time.Now()
	async.Sleep(ctx, calm)
	quiet()
	talk.Wait()
	watched.stop()
	r.Foreign = others.percent()
	if err != nil {
		return err
	}
	t.judge(r, b.window, begin, signaled, returned)
	r.figure("from SIGTERM until the old process ended", ended.Sub(signaled).Seconds(), "s")
	r.figure("from its end until the new one was ready", s.ready.Sub(ended).Seconds(), "s")
	r.figure("memory of the server, at most", watched.memory/(1<<20), "MiB")
	r.figure("connections to the database, at most", watched.connections, "")
	return t.prove(ctx, r, url)
}

// replace ends the process and starts another one at the same address.
func (s *server) replace(ctx context.Context) (signaled, ended time.Time, err error) {
	signaled = time.Now()
	if err := s.Stop(); err != nil {
		return signaled, ended, err
	}
	ended = time.Now()
	return signaled, ended, s.start(ctx)
}

// connectAll creates users and channels, and connects all clients.
func connectAll(ctx context.Context, url string, n int) (*restartClients, error) {
	t := &restartClients{}
	user := func(i int) chat.UserID { return chat.UserID("guest-" + strconv.Itoa(i)) }
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	t.channels = make([]chat.ID, (n+restartChannel-1)/restartChannel)
	for c := range t.channels {
		g.Go(func() (err error) { // ends when its channel is created
			var members []chat.UserID
			for i := c * restartChannel; i < min((c+1)*restartChannel, n); i++ {
				if err := rest(gctx, url, user(i), http.MethodGet, "/channels/", nil, nil); err != nil { // creates the user
					return err
				}
				members = append(members, user(i))
			}
			t.channels[c], err = makeChannel(gctx, url, members)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	t.clients = make([]*restartClient, n)
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(dialsAtOnce)
	for i := range t.clients {
		g.Go(func() error { return t.connect(gctx, url, i, user(i)) }) // ends when it is connected
	}
	return t, g.Wait()
}

// connect connects one client. Source addresses are used in turn, because one has ports
// for less than thirty thousand connections per minute.
func (t *restartClients) connect(ctx context.Context, url string, i int, user chat.UserID) error {
	p := &restartClient{group: t}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%32))}, Timeout: patience, KeepAlive: -1}
	c, err := client.Dial(ctx, client.Options{
		URL: url, Token: client.StaticToken(string(user)), Buffer: 64,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}},
		Trace: client.Trace{Connected: func(hello *chat.ConnectionFrame) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.connected = append(p.connected, time.Now()); p.last == 0 && len(hello.Channels) > 0 {
				p.last = hello.Channels[0].LastSeq
			}
		}},
	})
	if err != nil {
		return err
	}
	p.client = c
	t.clients[i] = p
	t.ready.Go(p.listen) // ends with the client
	return nil
}

// listen checks that the channel's entries arrive in order, each once.
func (p *restartClient) listen() {
	for {
		ev, err := p.client.Next(context.Background())
		if err != nil {
			return
		}
		p.mu.Lock()
		switch {
		case ev.Type == client.Resync:
			p.broken = "was asked to reload its channel"
		case ev.Seq == 0:
		case ev.Seq != p.last+1:
			p.broken = fmt.Sprintf("received %d after %d", ev.Seq, p.last)
			p.last = ev.Seq
		default:
			p.last = ev.Seq
			p.received++
		}
		p.mu.Unlock()
	}
}

func (t *restartClients) close() {
	for _, p := range t.clients {
		if p != nil {
			_ = p.client.Close()
		}
	}
	t.ready.Wait()
}

// sendAt sends at a rate per second in total until ctx ends, and then waits for the last
// answers. A send waits for the server as long as it takes.
func (t *restartClients) sendAt(ctx context.Context, perSecond float64) {
	var under sync.WaitGroup
	defer under.Wait()
	gap := time.Duration(float64(time.Second) / perSecond)
	for n, due := 0, time.Now(); async.Sleep(ctx, time.Until(due)); n, due = n+1, due.Add(gap) {
		c := n % len(t.channels)
		under.Go(func() { t.send(t.clients[c*restartChannel], t.channels[c], due) }) // ends when it is answered
	}
}

func (t *restartClients) send(p *restartClient, channel chat.ID, due time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := message{id: chat.NewID(), due: due}
	sent, err := p.client.Send(ctx, client.Message{ChannelID: channel, Content: filler, ClientID: m.id.String()})
	m.took = time.Since(due)
	var no *chat.Error
	switch {
	case err == nil:
		m.outcome = acked
	case errors.As(err, &no):
		m.outcome, m.code = refused, string(no.Code)
	default:
		m.outcome = unknown
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = append(t.sent, m)
	if sent.Duplicate {
		t.dups++
	}
	if err != nil {
		t.errs++
	}
}

// awaitReconnects waits until all clients have reconnected.
func (t *restartClients) awaitReconnects(ctx context.Context, signaled time.Time) error {
	for until := time.Now().Add(2 * patience); time.Now().Before(until); {
		if len(t.returns(signaled)) == len(t.clients) {
			return nil
		}
		if !async.Sleep(ctx, 20*time.Millisecond) {
			break
		}
	}
	return fmt.Errorf("only %d of %d reconnected", len(t.returns(signaled)), len(t.clients))
}

// returns returns when each client had reconnected, in order.
func (t *restartClients) returns(signaled time.Time) (all []time.Duration) {
	for _, p := range t.clients {
		p.mu.Lock()
		if n := len(p.connected); n > 0 && p.connected[n-1].After(signaled) {
			all = append(all, p.connected[n-1].Sub(signaled))
		}
		p.mu.Unlock()
	}
	slices.Sort(all)
	return all
}

func (t *restartClients) judge(r *result, window time.Duration, begin, signaled, returned time.Time) {
	all := t.returns(signaled)
	n := len(all)
	r.figure("sockets", float64(n), "")
	r.figure("from SIGTERM until half of them are back", all[n/2].Seconds(), "s")
	r.figure("  95%", all[min(n*95/100, n-1)].Seconds(), "s")
	r.figure("  all", all[n-1].Seconds(), "s")
	most, first := 0, 0
	for i := range all { // the most in any second
		for all[i]-all[first] >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	r.figure("sockets that came back within one second, at most", float64(most), "")
	// However short the window is, no more sockets come back than the server admits.
	rate := float64(min(float64(n)/max(window.Seconds(), 0.001), handshakes))
	r.figure("  sockets / drain.window, or limits.handshakes-per-second", rate, "")
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range []struct {
		name     string
		from, to time.Time
	}{
		{"before", begin, signaled},
		{"during", signaled, returned},
		{"after", returned.Add(time.Second), returned.Add(calm)},
	} {
		s := span2(t.sent, p.from, p.to)
		r.figure("p99 of the ack "+p.name, s.p99, "ms")
		r.figure("  p50", s.p50, "ms")
	}
	r.figure("messages sent", float64(len(t.sent)), "")
	r.figure("  sent again by their clients, and found already stored", float64(t.dups), "")
	r.figure("  that ended with an error", float64(t.errs), "")
	// Clients choose a random moment by themselves, and a bucket may admit a tenth more.
	r.mark("sockets that came back within one second, relative to the limit", float64(most)/rate, 1.25)
	r.mark("messages that ended with an error", float64(t.errs), 0)
}

// span2 is span without clients that give up.
func span2(all []message, from, to time.Time) (s summary) {
	var took []time.Duration
	for i := range all {
		if m := &all[i]; !m.due.Before(from) && m.due.Before(to) {
			took = append(took, m.took)
		}
	}
	s.p50, s.p99 = quantile(took, 0.5), quantile(took, 0.99)
	return s
}

// prove checks that what was acknowledged is stored once, and that all clients have
// received all of it once, in order.
func (t *restartClients) prove(ctx context.Context, r *result, url string) error {
	there, err := stored(ctx, url)
	if err != nil {
		return err
	}
	heads := make(map[chat.ID]chat.Seq)
	for _, e := range there {
		heads[e.channel] = max(heads[e.channel], e.seq)
	}
	if err := t.awaitAll(ctx, heads); err != nil {
		return err
	}
	unsure, kept, err := verify(ctx, url, t.sent)
	var lost atomic.Int64
	received := 0
	for i, p := range t.clients {
		p.mu.Lock()
		received += p.received
		if p.broken != "" {
			lost.Add(1)
			err = errors.Join(err, fmt.Errorf("client %d %s", i, p.broken))
		}
		p.mu.Unlock()
	}
	r.figure("deliveries, checked one by one", float64(received), "")
	r.figure("of unknown outcome at the end", float64(unsure), "")
	r.figure("  of them stored", float64(kept), "")
	r.mark("messages of unknown outcome at the end", float64(unsure), 0)
	if err == nil {
		r.mark("acknowledged and lost, or delivered twice or out of order", float64(lost.Load()), 0)
	}
	return err
}

// awaitAll waits until all clients have received everything.
func (t *restartClients) awaitAll(ctx context.Context, heads map[chat.ID]chat.Seq) error {
	behind := 0
	for until := time.Now().Add(patience); time.Now().Before(until); async.Sleep(ctx, 50*time.Millisecond) {
		behind = 0
		for i, p := range t.clients {
			p.mu.Lock()
			if p.last < heads[t.channels[i/restartChannel]] {
				behind++
			}
			p.mu.Unlock()
		}
		if behind == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d have not received everything", behind)
}
