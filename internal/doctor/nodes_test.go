package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

const relaySecret = "a secret of some length"

type noAccess struct{ relay.Access }

// startNode starts the relay of a server. It stops at the end of the test.
func startNode(t *testing.T, url string, l relay.Link) (n *relay.Node) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: -1}})
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	space, err := db.Secret(t.Context(), "relay_space", id)
	if err != nil {
		t.Fatal(err)
	}
	n = relay.New(relay.Config{
		ClusterID: hex.EncodeToString(space), Version: "v9", Link: l, Database: db, Access: noAccess{},
		Heartbeat: 100 * time.Millisecond,
	})
	h := hub.Start(hub.Config{Store: db, Relay: n})
	if err := n.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
		h.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// nodes starts two healthy nodes, and returns the subject of one of them.
func nodes(t *testing.T) Subject {
	t.Helper()
	url := pgtest.Database(t)
	s := healthy(t, url)
	link := relay.Link{Listen: "127.0.0.1:0", Secret: relaySecret}
	a := startNode(t, url, link)
	link.Routes = []string{a.RouteAddress()}
	b := startNode(t, url, link)
	s.Relay = Relay{Link: link, Own: b.RouteAddress()}
	return s
}

func TestNodesThatHearEachOther(t *testing.T) {
	t.Parallel()
	s := nodes(t)
	expectNodes(t, s, Fine, "2 heard (2 of v9), NATS 2.")
	if f, bad := findings(t, s)["nodes"]; bad {
		t.Errorf("%+v", f)
	}
}

// expectNodes checks that there is a finding about nodes with these words, and with
// advice if it is a problem.
func expectNodes(t *testing.T, s Subject, status Status, words string) {
	t.Helper()
	var all []string
	for _, f := range Examine(t.Context(), s).Findings {
		if f.Check == "nodes" && f.Status == status && strings.Contains(f.Found, words) {
			if f.Advice == "" && (status == Warning || status == Failure) {
				t.Errorf("no advice: %+v", f)
			}
			return
		}
		all = append(all, fmt.Sprint(f))
	}
	t.Errorf("no finding contains %q:\n%s", words, strings.Join(all, "\n"))
}

func TestBrokenNodes(t *testing.T) {
	t.Parallel()
	t.Run("another secret", func(t *testing.T) {
		t.Parallel()
		s := nodes(t)
		s.Relay.Link.Secret = "one that no node has"
		expectNodes(t, s, Failure, "a node with a different secret was refused, or refused this one")
		expectNodes(t, s, Warning, "shares the database, but this machine does not hear it")
	})
	t.Run("an address without a node", func(t *testing.T) {
		t.Parallel()
		s := nodes(t)
		s.Relay.Link.Routes = []string{"127.0.0.1:1"}
		expectNodes(t, s, Warning, "127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused")
	})
	t.Run("a listener that is not a node", func(t *testing.T) {
		t.Parallel()
		s := nodes(t)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		s.Relay.Link.Routes = append(s.Relay.Link.Routes, l.Addr().String())
		expectNodes(t, s, Failure, l.Addr().String()+": accepts connections, but no node joined through it")
	})
	t.Run("too few", func(t *testing.T) {
		t.Parallel()
		s := nodes(t)
		s.Nodes = 3
		expectNodes(t, s, Warning, "2 heard (2 of v9)")
	})
	t.Run("the others have a relay, and this one does not", func(t *testing.T) {
		t.Parallel()
		s := nodes(t)
		s.Relay = Relay{}
		expectNodes(t, s, Warning, "2 nodes share this database")
	})
	t.Run("no node runs", func(t *testing.T) {
		t.Parallel()
		s := healthy(t, pgtest.Database(t))
		s.Relay = Relay{Link: relay.Link{Listen: "127.0.0.1:0"}, Own: "127.0.0.1:1"}
		expectNodes(t, s, Unknown, "no node has ever started")
	})
}

func TestNodesOnANATSElsewhere(t *testing.T) {
	t.Parallel()
	nats, err := server.NewServer(
		&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Authorization: relaySecret},
	)
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	if !nats.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS does not start")
	}
	url := pgtest.Database(t)
	s := healthy(t, url)
	s.Nodes = 1
	s.Relay.Link = relay.Link{URL: []string{nats.ClientURL()}, Secret: relaySecret}
	startNode(t, url, s.Relay.Link)
	expectNodes(t, s, Fine, "1 heard (1 of v9), NATS 2.")
	s.Relay.Link.Secret = "one that it does not accept"
	expectNodes(t, s, Failure, "the other nodes cannot be reached: nats: Authorization Violation")
	s.Relay.Link.URL = []string{"nats://chowk:hUsh-hUsh@127.0.0.1:1"}
	expectNodes(t, s, Failure, "connection refused")
	for _, f := range Examine(t.Context(), s).Findings {
		if strings.Contains(f.Found, "hUsh") {
			t.Errorf("%+v", f)
		}
	}
}
