package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// timeout bounds every wait. Nothing is expected to take that long.
const timeout = 20 * time.Second

// quick makes nodes notice sooner that they do not hear each other. While they do, the
// database is never polled: what crosses then came by the relay.
var quick = relay.Config{
	Heartbeat: 100 * time.Millisecond, ReconcileInterval: 200 * time.Millisecond, CalmInterval: time.Hour,
}

const secret = "a secret of some length"

func TestMain(m *testing.M) {
	code := m.Run()
	// NATS in the process ends its goroutines a moment after it reports that it has:
	// Find waits for that. Those ignored belong to the database that all tests share.
	err := goleak.Find(
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreTopFunction("github.com/chowk-chat/chowk/internal/testkit/pgtest.startTied.func1"),
	)
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// node is a server without its listeners.
type node struct {
	t       testing.TB
	db      *store.Store
	hub     *hub.Hub
	journal *journal.Journal
	relay   *relay.Node
	metrics *metric.Metrics
	access  *access
	once    sync.Once
}

// access records whose access ended.
type access struct {
	mu    sync.Mutex // guards what follows; while it is held the node is blocked
	calls []string
}

func (a *access) record(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprintf(format, args...))
}

func (a *access) RevokedElsewhere(closed []model.TokenHash, user chat.UserID) {
	if len(closed) == 0 {
		a.record("%s is disabled", user)
	}
	for _, h := range closed {
		a.record("log-in %d of %s is closed", h[0], user)
	}
}

func (a *access) EnabledElsewhere(user chat.UserID) { a.record("%s is enabled", user) }

func (a *access) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// await waits for a call.
func (n *node) awaitAccess(call string) {
	n.t.Helper()
	until(n.t, call, func() bool { return slices.Contains(n.access.all(), call) })
}

// start starts a node on a database.
func start(t testing.TB, url string, c relay.Config) *node {
	t.Helper()
	n := &node{t: t, metrics: metric.New(), access: new(access)}
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
	c.Database, c.Access, c.Metrics, c.Log = n.db, n.access, n.metrics.Relay, log
	if c.ClusterID == "" {
		c.ClusterID = "test"
	}
	n.relay = relay.New(c)
	n.hub = hub.Start(hub.Config{Store: n.db, Relay: n.relay, Metrics: n.metrics.Hub, Log: log})
	n.journal = journal.Start(journal.Config{ // with timeouts for a busy machine
		Store: n.db, Publisher: n.relay, Metrics: n.metrics.Journal, Log: log,
		QueueTimeout: timeout, AnswerTimeout: timeout, CommitTimeout: timeout,
	})
	t.Cleanup(n.stop)
	if err := n.relay.Start(t.Context(), n.hub); err != nil {
		t.Fatal(err)
	}
	return n
}

// stop shuts the node down.
func (n *node) stop() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
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

// startPair starts two nodes that hear each other through a proxy.
func startPair(t testing.TB, c relay.Config) (a, b *node, p *testkit.Proxy) {
	t.Helper()
	url := pgtest.Database(t)
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	a = start(t, url, c)
	p = testkit.StartProxy(t, a.relay.RouteAddress())
	c.Link.Routes = []string{p.Address()}
	b = start(t, url, c)
	awaitConnected(t, a, b)
	return a, b, p
}

// startThree starts three nodes, two of which have a route to the first only.
func startThree(t testing.TB) (a, b, c *node) {
	t.Helper()
	url := pgtest.Database(t)
	config := quick
	config.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	a = start(t, url, config)
	config.Link.Routes = []string{a.relay.RouteAddress()}
	b, c = start(t, url, config), start(t, url, config)
	awaitConnected(t, a, b, c)
	return a, b, c
}

// awaitConnected waits until all nodes hear each other and none is degraded.
func awaitConnected(t testing.TB, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		until(t, fmt.Sprintf("node %d and the others hear each other", i), func() bool {
			s := n.relay.State()
			return s.Peers == len(nodes)-1 && !s.Degraded
		})
	}
}

// until waits for a condition that can only be polled.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is not the case that: %s", timeout, what)
		}
	}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// users creates users, and returns the first.
func (n *node) users(ids ...chat.UserID) chat.UserID {
	n.t.Helper()
	for _, id := range ids {
		u := chat.User{ID: id, Name: string(id), IsActive: true, CreatedAt: 1}
		if _, err := n.db.EnsureUser(n.t.Context(), u); err != nil {
			n.t.Fatal(err)
		}
	}
	return ids[0]
}

// checkOnline checks which of the users are online on any node; nil is for everyone.
func (n *node) checkOnline(users []chat.UserID, want ...chat.UserID) {
	n.t.Helper()
	got := n.hub.Online(users)
	slices.Sort(got)
	equal(n.t, "online", got, want)
}

// count returns the value of one of several counters.
func (n *node) count(c metric.Counters, label string) float64 {
	n.t.Helper()
	return value(n.t, c.WithLabelValues(label).(prometheus.Metric))
}

// received returns the number of messages of a kind that the node received.
func (n *node) received(kind string) float64 { return n.count(n.metrics.Relay.Received, kind) }

// dropped returns the number of messages that the node dropped for a reason.
func (n *node) dropped(reason string) float64 { return n.count(n.metrics.Relay.Dropped, reason) }

// subscriptions returns the number of subjects that the node is subscribed to.
func (n *node) subscriptions() float64 { return value(n.t, n.metrics.Relay.Subscriptions) }

// awaitSubscriptions waits until the node has a number of subscriptions, and the other
// nodes know of them.
func (n *node) awaitSubscriptions(want float64) {
	n.t.Helper()
	until(n.t, fmt.Sprintf("the node has %v subscriptions", want), func() bool { return n.subscriptions() == want })
	n.awaitResponse()
}

// awaitResponse waits until the other nodes have received everything that this one sent:
// messages arrive in order.
func (n *node) awaitResponse() {
	n.t.Helper()
	before := n.received("answer")
	until(n.t, "the other nodes respond", func() bool {
		n.relay.Online([]chat.UserID{"nobody"})
		return n.received("answer") > before
	})
}

func (n *node) commit(c state.Change) *chat.Entry {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
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

func change(kind state.ChangeKind, channel chat.ID, actor chat.UserID) state.Change {
	return state.Change{
		Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor(actor),
		At: chat.TimeOf(time.Now()),
	}
}

// channel creates a channel with members.
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

// send commits a message.
func (n *node) send(channel chat.ID, from chat.UserID, text string) *chat.Entry {
	c := change(state.SendMessage, channel, from)
	c.Message = &chat.Message{ID: c.ID, ChannelID: channel, UserID: from, Content: text, MessageType: chat.Text}
	return n.commit(c)
}

// changeMember commits a change of a membership.
func (n *node) changeMember(kind state.ChangeKind, channel chat.ID, actor, user chat.UserID) *chat.Entry {
	c := change(kind, channel, actor)
	c.Subject, c.Role = user, chat.RoleMember
	return n.commit(c)
}

// value returns the value of a counter or gauge, or the number of observations of a
// histogram.
func value(t testing.TB, m prometheus.Metric) float64 {
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
