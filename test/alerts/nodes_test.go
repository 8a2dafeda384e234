//go:build !windows

package alerts

import (
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/natstest"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

var nodeFaults = []fault{
	{
		name: "NATS is down", what: "two nodes on a NATS of their own, which is stopped while people talk",
		fires: []string{"ChowkRelayDown", "ChowkRelayDropping"}, alone: true,
		setup: func(t *testing.T, st *scene) func() func() {
			nats, url := natstest.Start(t, natsd.Options{}), pgtest.Database(t)
			other := serve(t, st.speed, url, "relay.url="+nats.URL())
			s := serve(t, st.speed, url, "relay.url="+nats.URL())
			st.server, st.targets = s, []string{s.ops, other.ops}
			st.watch(t)
			clients := newUsers(t, s)
			clients.send(2, clients.channel(3), 200*time.Millisecond, 20)
			return func() func() {
				nats.Stop()
				return nats.Start
			}
		},
	},
	{
		name:  "a node is refused",
		what:  "a node with another `relay.secret` is started on the same database; ended by its stop",
		fires: []string{"ChowkRelayDown"}, alone: true,
		setup: func(t *testing.T, st *scene) func() func() {
			address, url := testkit.FreeAddress(t), pgtest.Database(t)
			st.serve(t, url, "--relay.listen="+address, "--relay.secret=0123456789abcdef")
			other := prepare(t, st.speed, url, "--relay.listen=127.0.0.1:0", "--relay.routes="+address,
				"--relay.secret=fedcba9876543210")
			return func() func() {
				other.start()
				return other.Kill
			}
		},
	},
}
