package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

const nodesSecret = "relay.secret=0123456789abcdef"

// nodes starts two servers on one database, connected through a proxy.
func nodes(t *testing.T, settings ...string) (a, b *server, between *testkit.Proxy) {
	t.Helper()
	database := "database-url=" + pgtest.Database(t)
	common := append([]string{database, nodesSecret}, settings...)
	address := testkit.FreeAddress(t)
	a = serve(t, append(common, "relay.listen="+address)...)
	between = testkit.StartProxy(t, address)
	b = serve(t, append(common, "relay.listen=127.0.0.1:0", "relay.routes="+between.Address())...)
	joined(a, b)
	return a, b, between
}

// joined waits until all servers are connected to each other.
func joined(servers ...*server) {
	for _, s := range servers {
		s.until("the node is connected to the others", func() bool {
			return s.metric("chowk_relay_peers") == float64(len(servers)-1) && s.metric("chowk_relay_degraded") == 0
		})
	}
}

// TestTwoNodesActAsOneService checks that users on different nodes can do everything
// that users on one node can.
func TestTwoNodesActAsOneService(t *testing.T) {
	t.Parallel()
	a, b, _ := nodes(t, "auth=none")
	id := a.channel("ada", "bob")
	b.must(http.StatusOK, http.MethodGet, "/channels/", "eve", nil)
	ada, bob, eve := a.dial("ada"), b.dial("bob"), b.dial("eve")
	ada.send(id, "from here")
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "from here" })
	bob.send(id, "from there")
	ada.expect("message", func(f *frame) bool { return f.Data.Content == "from there" })
	b.until(
		"the message came through the relay",
		func() bool { return b.metric(`chowk_relay_received_total{kind="events"}`) > 0 },
	)

	ada.ok("typing", map[string]any{"channel_id": id, "is_typing": true})
	bob.expect("typing", func(f *frame) bool { return f.UserID == "ada" && f.IsTyping })
	bob.ok("read_receipt", map[string]any{"channel_id": id, "seq": 2})
	ada.expect("read_receipt", func(f *frame) bool { return f.UserID == "bob" })

	a.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/members", "ada", map[string]any{"user_ids": []string{"eve"}})
	eve.expect("channel_joined", func(f *frame) bool { return f.ChannelID == id })
	ada.send(id, "for eve")
	eve.expect("message", func(f *frame) bool { return f.Data.Content == "for eve" })
	a.must(http.StatusNoContent, http.MethodDelete, "/channels/"+id+"/members/eve", "ada", nil)
	eve.expect("channel_left", func(f *frame) bool { return f.ChannelID == id })
	ada.send(id, "not for eve")
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "not for eve" })
	if strings.Contains(eve.dump(), "not for eve") {
		t.Error("eve received a message sent after she was removed")
	}

	if got := ada.ok("subscribe_presence", map[string]any{"user_ids": []string{"bob"}}); len(got.Response.Online) != 1 {
		t.Errorf("online users: got %s, want bob", got.raw)
	}
	_ = bob.conn.CloseNow()
	ada.expect("presence", func(f *frame) bool { return f.UserID == "bob" && !f.IsOnline })
	b.dial("bob")
	ada.expect("presence", func(f *frame) bool { return f.UserID == "bob" && f.IsOnline })
	b.kill()
	ada.expect("presence", func(f *frame) bool { return f.UserID == "bob" && !f.IsOnline })
	ada.send(id, "after the other node was killed")
	if status, r := a.readiness(); status != http.StatusOK || !r.Ready {
		t.Errorf("the node is not ready after the other was killed: %+v", r)
	}
}

// TestDisconnectedNodesUseTheDatabase cuts the connection between two nodes: they
// learn of changes through the database until it is restored.
func TestDisconnectedNodesUseTheDatabase(t *testing.T) {
	t.Parallel()
	a, b, between := nodes(t, "auth=none")
	id := a.channel("ada", "bob")
	ada, bob := a.dial("ada"), b.dial("bob")
	between.Sever()
	a.until("the node is degraded", func() bool { return a.metric("chowk_relay_degraded") == 1 })
	status, r := a.readiness()
	if status != http.StatusOK || !r.Ready || r.Checks["nodes"].State != "warning" {
		t.Errorf("readiness: status %d, %+v; want a warning about nodes", status, r)
	}
	ada.send(id, "through the database")
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "through the database" })
	bob.send(id, "and back")
	ada.expect("message", func(f *frame) bool { return f.Data.Content == "and back" })
	if b.metric(`chowk_relay_reconciled_total{kind="channels"}`) == 0 {
		t.Error("reconciled changes are not counted")
	}
	between.Restore()
	joined(a, b)
	before := b.metric(`chowk_relay_received_total{kind="events"}`)
	ada.send(id, "through the relay")
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "through the relay" })
	b.until(
		"the message came through the relay",
		func() bool { return b.metric(`chowk_relay_received_total{kind="events"}`) > before },
	)
}

// TestSecondServerWithoutRelay starts a second server on a database without
// configuring a relay: no message is lost, and both servers warn.
func TestSecondServerWithoutRelay(t *testing.T) {
	t.Parallel()
	database := "database-url=" + pgtest.Database(t)
	a, b := serve(t, "auth=none", database), serve(t, "auth=none", database)
	id := a.channel("ada", "bob")
	ada, bob := a.dial("ada"), b.dial("bob")
	ada.send(id, "through the database")
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "through the database" })
	bob.send(id, "and back")
	ada.expect("message", func(f *frame) bool { return f.Data.Content == "and back" })
	for _, s := range []*server{a, b} {
		s.until("readiness warns about the missing relay", func() bool {
			_, r := s.readiness()
			return r.Ready && r.Checks["nodes"].State == "warning" && strings.Contains(r.Checks["nodes"].Detail, "has no relay")
		})
		if s.metric("chowk_relay_degraded") != 1 {
			t.Error("chowk_relay_degraded is not 1, so no alert would fire")
		}
	}
	b.kill()
	a.until("the node no longer sees another one", func() bool { return a.metric("chowk_relay_degraded") == 0 })
}

// TestAccessEndsOnEveryNode ends log-ins and accounts while the nodes are connected
// and while they are not.
func TestAccessEndsOnEveryNode(t *testing.T) {
	t.Parallel()
	a, b, between := nodes(t)
	admin := a.signUp("admin@example.org", "A", "B")
	for _, how := range []string{"connected", "disconnected"} {
		out, off := a.signUp(
			strings.ReplaceAll(how, " ", ".")+"@example.org", "Ada", "L",
		), a.signUp(strings.ReplaceAll(how, " ", ".")+"2@example.org", "Bob", "L")
		leaves, stays := b.dialAs("/ws", out.token, chat.Protocol), b.dialAs("/ws", off.token, chat.Protocol)
		a.must(http.StatusNoContent, http.MethodPost, "/auth/logout", out.token, nil)
		if code := leaves.ended(); code != websocket.StatusCode(chat.CloseTokenExpired) {
			t.Errorf("%s, logged out: closed with %v, want 4001", how, code)
		}
		b.must(http.StatusUnauthorized, http.MethodGet, "/channels/", out.token, nil)
		stays.ask("ping", nil)
		a.must(
			http.StatusNoContent, http.MethodPut, "/auth/users/"+off.id+"/active", admin.token,
			map[string]any{"is_active": false},
		)
		if code := stays.ended(); code != websocket.StatusCode(chat.CloseUserDisabled) {
			t.Errorf("%s, disabled: closed with %v, want 4003", how, code)
		}
		b.must(http.StatusUnauthorized, http.MethodGet, "/channels/", off.token, nil)
		between.Sever()
	}
	if b.metric(`chowk_relay_reconciled_total{kind="revocations"}`) == 0 {
		t.Error("reconciled changes are not counted")
	}
}

// TestDoctorChecksNodes runs chowk doctor with the right secret and with a wrong one.
func TestDoctorChecksNodes(t *testing.T) {
	t.Parallel()
	database := "--database-url=" + pgtest.Database(t)
	address := testkit.FreeAddress(t)
	a := serve(t, strings.TrimPrefix(database, "--"), "auth=none", nodesSecret, "relay.listen="+address)
	b := serve(
		t, strings.TrimPrefix(database, "--"), "auth=none", nodesSecret, "relay.listen=127.0.0.1:0", "relay.routes="+address,
	)
	joined(a, b)
	doctor := func(secret string) string {
		cmd := command(
			t, "doctor", "--json", "--nodes=2", database, "--relay.listen="+address, "--relay.secret="+secret, "--ops.listen=",
		)
		out, err := cmd.Output()
		if _, ended := err.(*exec.ExitError); err != nil && !ended { //nolint:errorlint // Output does not wrap its error
			t.Fatal(err)
		}
		return string(out)
	}
	if out := doctor("0123456789abcdef"); !strings.Contains(out, `"found": "2 heard (2 of `) {
		t.Errorf("got %s", out)
	}
	if out := doctor("another-0123456789abcdef"); !strings.Contains(out, "a node with a different secret was refused") {
		t.Errorf("got %s", out)
	}
}
