package chowk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// TestPackagesHaveTheDefaultsOfTheSettings: what is zero in the configuration of a
// package, as in its tests, means what it means in that of the server.
func TestPackagesHaveTheDefaultsOfTheSettings(t *testing.T) {
	c := Defaults()
	limits := gatewayLimits(&c.Limits, 0)
	limits.SocketsPerUser, limits.HandshakesPerSecond = 0, 0 // zero means unlimited
	db := storeOptions(&c)
	poller := netpoll.Options{Heartbeat: c.Heartbeat, PartialTimeout: c.Limits.MessageReadTimeout}
	for what, pair := range map[string][2]any{
		"pool":           {db.Pool.WithDefaults(), database.Pool{}.WithDefaults()},
		"limits":         {limits.WithDefaults(), gateway.Limits{}.WithDefaults()},
		"ring":           {c.Ring.Bytes, hub.Config{}.WithDefaults().RingBytes},
		"workers":        {c.Journal.Workers, journal.Config{}.WithDefaults().Workers},
		"poller":         {poller, netpoll.Options{}.WithDefaults()},
		"soft limit":     {db.HoldSoft, database.Options{}.WithDefaults().HoldSoft},
		"hard limit":     {db.HoldHard, database.Options{}.WithDefaults().HoldHard},
		"slow statement": {db.SlowQuery, database.Options{}.WithDefaults().SlowQuery},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-settings +package):\n%s", what, diff)
		}
	}
}
