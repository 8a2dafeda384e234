package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// patience bounds every wait; nothing is expected to take that long.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	// A NATS in the process ends its own goroutines a moment after it says so: Find
	// waits for that. The two are of the database that all tests share.
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"), goleak.IgnoreTopFunction("github.com/chowk-chat/chowk/internal/testkit/pgtest.startTied.func1")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// node is one chowk without its doors.
type node struct {
	t       testing.TB
	db      *store.Store
	hub     *hub.Hub
	journal *journal.Journal
	relay   *relay.Node
	numbers *metric.Metrics
	access  *access
	once    sync.Once
}

// access notes whose access ended.
type access struct {
	mu   sync.Mutex // guards what follows; whoever holds it holds up the node
	told []string
}

func (a *access) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, fmt.Sprintf(format, args...))
}

func (a *access) RevokedElsewhere(closed []model.TokenHash, user chat.UserID) {
	if len(closed) == 0 {
		a.note("%s is disabled", user)
	}
	for _, h := range closed {
		a.note("session %d of %s is closed", h[0], user)
	}
}

func (a *access) EnabledElsewhere(user chat.UserID) { a.note("%s is enabled", user) }

func (a *access) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.told...)
}

func (a *access) has(what string) func() bool {
	return func() bool {
		for _, s := range a.all() {
			if s == what {
				return true
			}
		}
		return false
	}
}

// start starts a node on a database.
func start(t testing.TB, url string, c relay.Config) *node {
	t.Helper()
	n := &node{t: t, numbers: metric.New(), access: new(access)}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("RELAY_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	changed := func(id chat.UserID) {
		if n.relay != nil {
			n.relay.UserChanged(id)
		}
	}
	var err error
	if n.db, err = store.Open(t.Context(), store.Options{URL: url, UserChanged: changed}); err != nil {
		t.Fatal(err)
	}
	c.Database, c.Access, c.Metrics, c.Log = n.db, n.access, n.numbers.Relay, log
	if c.Space == "" {
		c.Space = "test"
	}
	n.relay = relay.New(c)
	n.hub = hub.Start(hub.Config{Store: n.db, Relay: n.relay, Metrics: n.numbers.Hub, Log: log})
	n.journal = journal.Start(journal.Config{ // on a busy machine nobody is refused
		Store: n.db, Publisher: n.relay, Metrics: n.numbers.Journal, Log: log, QueueTimeout: patience, AnswerTimeout: patience, CommitTimeout: patience,
	})
	t.Cleanup(n.stop)
	if err := n.relay.Start(t.Context(), n.hub); err != nil {
		t.Fatal(err)
	}
	return n
}

// stop ends the node in good order.
func (n *node) stop() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := n.journal.Close(ctx); err != nil {
			n.t.Error(err)
		}
		if err := n.relay.Close(ctx); err != nil {
			n.t.Error(err)
		}
		n.hub.Close()
		if err := n.db.Close(); err != nil {
			n.t.Error(err)
		}
	})
}

// pair is two nodes that hear each other through a proxy.
func pair(t testing.TB, c relay.Config) (a, b *node, p *testkit.Proxy) {
	t.Helper()
	url := pgtest.Database(t)
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: "a secret of some length"}
	a = start(t, url, c)
	p = testkit.StartProxy(t, a.relay.RouteAddress())
	c.Link.Routes = []string{p.Address()}
	b = start(t, url, c)
	together(t, a, b)
	return a, b, p
}

// three is three nodes, of which two are told only of the first.
func three(t testing.TB) (a, b, c *node) {
	t.Helper()
	url := pgtest.Database(t)
	config := quick
	config.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	a = start(t, url, config)
	config.Link.Routes = []string{a.relay.RouteAddress()}
	b, c = start(t, url, config), start(t, url, config)
	together(t, a, b, c)
	return a, b, c
}

// together waits until all nodes hear each other and nothing is amiss.
func together(t testing.TB, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		until(t, fmt.Sprintf("node %d hears the others and they hear it", i), func() bool {
			s := n.relay.State()
			return s.Peers == len(nodes)-1 && !s.Degraded
		})
	}
}

// until waits for what can only be asked for.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// users makes them, and gives the first.
func (n *node) users(ids ...chat.UserID) chat.UserID {
	n.t.Helper()
	for _, id := range ids {
		if _, err := n.db.EnsureUser(n.t.Context(), chat.User{ID: id, Name: string(id), IsActive: true, CreatedAt: 1}); err != nil {
			n.t.Fatal(err)
		}
	}
	return ids[0]
}

// counted reads one counter of several.
func (n *node) counted(c metric.Counters, label string) float64 {
	n.t.Helper()
	return number(n.t, c.WithLabelValues(label).(prometheus.Metric))
}

// subscriptions is how many subjects the node hears.
func (n *node) subscriptions() float64 { return number(n.t, n.numbers.Relay.Subscriptions) }

// settled waits until the node is subscribed to so many subjects, and all others
// know it: what it says it says in order.
func (n *node) settled(subscriptions float64) {
	n.t.Helper()
	until(n.t, fmt.Sprintf("the node has %v subscriptions", subscriptions), func() bool { return n.subscriptions() == subscriptions })
	n.answered()
}

// answered waits until the other nodes have taken all that this one has said.
func (n *node) answered() {
	n.t.Helper()
	before := n.counted(n.numbers.Relay.Received, "answer")
	until(n.t, "the other nodes answer", func() bool {
		n.relay.Online([]chat.UserID{"nobody"})
		return n.counted(n.numbers.Relay.Received, "answer") > before
	})
}

func (n *node) commit(c state.Change) *chat.Entry {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := n.journal.Commit(ctx, c)
	if err == nil {
		err = out.Err
	}
	if err != nil {
		n.t.Error(err)
		return nil
	}
	return out.Entry
}

func change(kind state.ChangeKind, channel chat.ID, by chat.UserID) state.Change {
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor(by), At: chat.TimeOf(time.Now())}
}

// channel makes one of which the users are members.
func (n *node) channel(users ...chat.UserID) chat.ID {
	n.t.Helper()
	n.users(users...)
	c := change(state.CreateChannel, chat.ID{}, users[0])
	c.ChannelID = c.ID
	c.Channel = &chat.Channel{ID: c.ID, Name: "c", ChannelType: chat.Group, CreatedBy: users[0], IsPrivate: true}
	for _, u := range users {
		c.Members = append(c.Members, state.InitialMember{UserID: u, Role: chat.RoleOwner})
	}
	n.commit(c)
	return c.ID
}

func (n *node) publish(channel chat.ID, by chat.UserID, text string) *chat.Entry {
	c := change(state.SendMessage, channel, by)
	c.Message = &chat.Message{ID: c.ID, ChannelID: channel, UserID: by, Content: text, MessageType: chat.Text}
	return n.commit(c)
}

func (n *node) member(kind state.ChangeKind, channel chat.ID, by, user chat.UserID) *chat.Entry {
	c := change(kind, channel, by)
	c.Subject, c.Role = user, chat.RoleMember
	return n.commit(c)
}

// number reads a counter or gauge.
func number(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	switch {
	case d.Counter != nil:
		return d.Counter.GetValue()
	case d.Gauge != nil:
		return d.Gauge.GetValue()
	}
	return float64(d.Histogram.GetSampleCount())
}
