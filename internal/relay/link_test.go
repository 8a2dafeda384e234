package relay_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestANodeWithAnotherSecretIsRefused. It reads what others commit from the database.
func TestANodeWithAnotherSecretIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	a := start(t, url, c)
	c.Link.Routes, c.Link.Secret = []string{a.relay.RouteAddress()}, "another secret of some length"
	b := start(t, url, c)
	checkDatabaseOnly(t, a, b)
}

// checkDatabaseOnly checks two nodes that do not hear each other.
func checkDatabaseOnly(t *testing.T, a, b *node) {
	t.Helper()
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	for i := range 3 {
		last := a.send(id, "ada", fmt.Sprint(i))
		bob.awaitEntries(id, 2, last.Seq)
	}
	s := b.relay.State()
	if !strings.Contains(s.Why, a.relay.ID()) {
		t.Errorf("the state of b is %q, want that it names %s", s.Why, a.relay.ID())
	}
	s.Why = ""
	equal(t, "state of b", s, relay.State{Degraded: true, Nodes: 1})
	for _, n := range []*node{a, b} {
		if n.received("events")+n.received("beat") != 0 {
			t.Error("a message came from the other node")
		}
	}
}

func TestNodesAuthenticateByCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, others := newAuthority(t, dir, "ours"), newAuthority(t, dir, "others")
	one, two, stranger := ours("one"), ours("two"), others("stranger")
	url := pgtest.Database(t)
	with := func(files keyPair, ca string, routes ...string) relay.Config {
		c := quick
		c.Link = relay.Link{
			Listen: "127.0.0.1:0", Secret: secret, Routes: routes,
			TLSCertFile: files.cert, TLSKeyFile: files.key, TLSCAFile: filepath.Join(dir, ca+".pem"),
		}
		return c
	}
	a := start(t, url, with(one, "ours"))
	b := start(t, url, with(two, "ours", a.relay.RouteAddress()))
	awaitConnected(t, a, b)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.send(id, "ada", "x")
	bob.awaitEntries(id, 2, 2)

	eve := start(t, url, with(stranger, "others", a.relay.RouteAddress()))
	c := quick
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret, Routes: []string{a.relay.RouteAddress()}}
	plain := start(t, url, c)
	a.send(id, "ada", "y")
	bob.awaitEntries(id, 2, 3)
	for _, n := range []*node{eve, plain} {
		until(t, "a stranger reads the other nodes' rows", func() bool { return n.relay.State().Nodes >= 2 })
		if s := n.relay.State(); s.Peers != 0 || !s.Degraded {
			t.Errorf("a stranger was accepted as a node: %+v", s)
		}
	}
}

// externalNATS starts a NATS that is not in a node.
func externalNATS(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, Authorization: secret, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(timeout) {
		t.Fatal("NATS is not ready")
	}
	t.Cleanup(func() { stopNATS(s) })
	return s
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// startExternal starts two nodes with an external NATS.
func startExternal(t *testing.T) (a, b *node, s *server.Server) {
	t.Helper()
	s = externalNATS(t, server.RANDOM_PORT)
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{URL: []string{s.ClientURL()}, Secret: secret}
	a, b = start(t, url, c), start(t, url, c)
	awaitConnected(t, a, b)
	return a, b, s
}

func TestAnExternalNATSMayRestart(t *testing.T) {
	t.Parallel()
	a, b, s := startExternal(t)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.send(id, "ada", "x")
	bob.awaitEntries(id, 2, 2)
	port := s.Addr().(*net.TCPAddr).Port
	stopNATS(s)
	for i := range 3 {
		a.send(id, "ada", fmt.Sprint(i))
	}
	bob.awaitEntries(id, 2, 5)
	until(t, "b reports it", func() bool { return strings.Contains(b.relay.State().Why, "no connection") })
	externalNATS(t, port)
	awaitConnected(t, a, b)
	before := b.received("events")
	a.send(id, "ada", "y")
	bob.awaitEntries(id, 2, 6)
	until(t, "the entry comes by the relay", func() bool { return b.received("events") > before })
}

// TestANodeStartsWithoutItsNATS, and hears the others once NATS runs.
func TestANodeStartsWithoutItsNATS(t *testing.T) {
	t.Parallel()
	s := externalNATS(t, server.RANDOM_PORT)
	port := s.Addr().(*net.TCPAddr).Port
	stopNATS(s)
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{URL: []string{s.ClientURL()}, Secret: secret}
	a, b := start(t, url, c), start(t, url, c)
	checkDatabaseOnly(t, a, b)
	externalNATS(t, port)
	awaitConnected(t, a, b)
}

// TestNodesOfAnotherDatabaseAreNotHeard, although they use the same NATS.
func TestNodesOfAnotherDatabaseAreNotHeard(t *testing.T) {
	t.Parallel()
	a, b, s := startExternal(t)
	c := quick
	c.Link, c.ClusterID = relay.Link{URL: []string{s.ClientURL()}, Secret: secret}, "another"
	other := start(t, pgtest.Database(t), c)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.send(id, "ada", "x")
	bob.awaitEntries(id, 2, 2)
	if s := other.relay.State(); s.Peers != 0 || s.Nodes != 0 {
		t.Errorf("the node of the other database has the state %+v, want no peers", s)
	}
	if s := a.relay.State(); s.Peers != 1 {
		t.Errorf("the state of a is %+v, want 1 peer", s)
	}
}

// TestForgedMessagesGainNothing: someone who can write to NATS can forge messages. What is
// true is sent all the same, and no one becomes a member.
func TestForgedMessagesGainNothing(t *testing.T) {
	t.Parallel()
	a, b, s := startExternal(t)
	id := a.channel("ada", "bob")
	b.users("eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.send(id, "ada", "x")
	bob.awaitEntries(id, 2, 2)
	forgeMessages(t, s.ClientURL(), id)
	for _, why := range []string{"version", "kind", "malformed", "size"} {
		until(t, why+" is counted", func() bool { return b.count(b.metrics.Relay.Ignored, why) > 0 })
	}
	for i := range 300 {
		last := a.send(id, "ada", fmt.Sprint(i))
		if i%100 == 0 {
			bob.awaitEntries(id, 2, last.Seq)
		}
	}
	bob.awaitEntries(id, 2, 302)
	if got := eve.frames(); b.hub.HasListeners(id) && len(got) > 0 {
		t.Errorf("eve is sent %+v", got)
	}
}

// forgeMessages publishes what no node sends: malformed messages, entries that do not
// exist, and memberships that never began.
func forgeMessages(t *testing.T, url string, id chat.ID) {
	t.Helper()
	nc, err := nats.Connect(url, nats.Token(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	publish := func(to string, message []byte) {
		t.Helper()
		if err := nc.Publish("chowk.test."+to, message); err != nil {
			t.Fatal(err)
		}
	}
	forge := func(to string, kind byte, body string) {
		t.Helper()
		m := append([]byte{1, kind, 1, 2, 3, 4, 5, 6, 7, 8}, binary.BigEndian.AppendUint64(nil, 1)...)
		publish(to, append(m, body...))
	}
	channel := "c." + id.String()
	inChannel := `"channel_id":"` + id.String() + `","user_id":"ada"`
	const beyond = `"seq":1152921504606846976`
	for _, body := range []string{
		``, `{`, `[]`, `null`, `[null]`, `[{}]`, strings.Repeat(`[`, 10_000), "\xff",
		`[{"type":"message",` + inChannel + `,` + beyond + `}]`,
	} {
		for _, kind := range "ehjtrpawvubyx?" {
			forge(channel, byte(kind), body)
			forge("all", byte(kind), body)
		}
	}
	publish("all", []byte{9}) // another version
	publish("all", append([]byte{1, 'e'}, make([]byte, 600<<10)...))
	deleted := `"type":"message_deleted",` + inChannel + `,"message_id":"` + id.String() + `"`
	forge(channel, 'e', `[{`+deleted+`,`+beyond+`}]`)
	forge(channel, 'e', `[{`+deleted+`,"seq":1}]`)
	forge(channel, 'e', `[{"type":"member_joined",`+inChannel+`,`+beyond+`,"subject":"eve","role":"member"}]`)
	forge("all", 'j', `{"channel":"`+id.String()+`",`+beyond+`,"users":["eve"]}`)
	forge("all", 'j', `{"channel":"`+id.String()+`","seq":1,"users":["eve"]}`)
	forge("all", 'j', `{"channel":"`+chat.NewID().String()+`","seq":1,"users":["eve","bob"]}`)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}
