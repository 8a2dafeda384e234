//go:build !windows

package alerts

import (
	"net"
	"strconv"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

var nodeFaults = []fault{
	{
		name: "NATS is away", what: "two nodes on a NATS of their own, which is stopped while people talk", fires: []string{"ChowkRelayDown", "ChowkRelayDropping"}, alone: true,
		arrange: func(t *testing.T, st *stage) func() func() {
			address, url := testkit.FreeAddress(t), pgtest.Database(t)
			stop := startNATS(t, address)
			other := serve(t, st.speed, url, "--relay.url=nats://"+address)
			s := serve(t, st.speed, url, "--relay.url=nats://"+address)
			st.server, st.targets = s, []string{s.ops, other.ops}
			st.look(t)
			crowd := newCrowd(t, s)
			crowd.talk(2, crowd.channel(3), 200*time.Millisecond, 20)
			return func() func() {
				stop()
				return func() { startNATS(t, address) }
			}
		},
	},
	{
		name: "a node is not let in", what: "a node with another `relay.secret` is started on the same database; ended by its stop", fires: []string{"ChowkRelayDown"}, alone: true,
		arrange: func(t *testing.T, st *stage) func() func() {
			address, url := testkit.FreeAddress(t), pgtest.Database(t)
			st.serve(t, url, "--relay.listen="+address, "--relay.secret=0123456789abcdef")
			other := prepare(t, st.speed, url, "--relay.listen=127.0.0.1:0", "--relay.routes="+address, "--relay.secret=fedcba9876543210")
			return func() func() {
				other.start()
				return other.Kill
			}
		},
	},
}

// startNATS starts a NATS in this process.
func startNATS(t *testing.T, address string) (stop func()) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := nats.NewServer(&nats.Options{Host: host, Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
	t.Cleanup(stop)
	return stop
}
