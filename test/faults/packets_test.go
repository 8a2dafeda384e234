package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// packetFaults are faults below TCP, each for a given time.
func packetFaults(long bool) []fault {
	lossy := 3 * time.Second
	if long {
		lossy = 20 * time.Second
	}
	return []fault{
		{"5 % of packets lost", "", func(w *world, _ *rand.Rand) {
			w.cable.run("nft", "add element inet faults lossy { 1-65535 }")
			time.Sleep(lossy)
			w.cable.run("nft", "flush set inet faults lossy")
			if w.cable.lost() == 0 {
				w.t.Error("no packet was lost")
			}
		}},
		{"packets of some clients vanish", "", vanish},
		{"every connection reset", "", func(w *world, r *rand.Rand) {
			w.cable.run("ss", "-K", "-tn", "state", "established", "sport", "= :"+port(w.server.address))
			pause(r, 500*time.Millisecond, time.Second)
		}},
		{"100 kbit/s", "", func(w *world, r *rand.Rand) {
			w.cable.run(strings.Fields("tc qdisc add dev s0 root tbf rate 100kbit burst 4kb latency 500ms")...)
			pause(r, 2*time.Second, 4*time.Second)
			w.cable.run(strings.Fields("tc qdisc del dev s0 root")...)
		}},
	}
}

// reaped is how long the server may keep silent peers: two heartbeats, and some time
// for a busy machine.
const reaped = 2*heartbeat + 4*time.Second

// vanish silently cuts off a third of the connections, until the server has closed them
// and released their descriptors.
func vanish(w *world, r *rand.Rand) {
	before := descriptors(w.server.Pid())
	gone := w.cable.ports(w.server.address)
	r.Shuffle(len(gone), func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
	if gone = gone[:len(gone)/3]; len(gone) == 0 {
		return
	}
	w.cable.run("nft", "add element inet faults gone { "+strings.Join(gone, ", ")+" }")
	start := time.Now()
	for {
		left := 0
		for _, p := range w.cable.ports(w.server.address) {
			if slices.Contains(gone, p) {
				left++
			}
		}
		took := time.Since(start)
		if left == 0 {
			w.t.Logf("%d half-open connections were closed after %v", len(gone), took.Round(10*time.Millisecond))
			break
		}
		if took > reaped {
			w.t.Errorf("%d of %d half-open connections are still there after %v", left, len(gone), took.Round(time.Millisecond))
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		// The clients that were cut off are back, with one connection each, and one or two
		// more are open for REST.
		if n := descriptors(w.server.Pid()); n <= before+before/10+8 {
			break
		} else if time.Now().After(until) {
			w.t.Errorf("the server had %d descriptors, and has %d", before, n)
			break
		}
	}
	w.cable.run("nft", "flush set inet faults gone")
}

func descriptors(pid int) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(all)
}

// TestPackets breaks the network below TCP, between namespaces of its own. The short
// form mixes the faults, on SQLite.
func TestPackets(t *testing.T) {
	z, kinds := short, []string{"sqlite"}
	z.time = 8 * time.Second
	alone := isLong(t)
	if alone {
		z, kinds = long, []string{"sqlite", "postgres"}
	} else {
		t.Parallel()
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			if !alone {
				playOn(t, newCable(t), kind, "packets, at random", packetFaults(false), z, opener(t, kind)(t))
				return
			}
			open := opener(t, kind)
			for _, f := range packetFaults(true) {
				t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
					db := open(t)
					if p, ok := db.(postgres); ok {
						p.socket = true // the server cannot reach the test's loopback
						db = p
					}
					playOn(t, newCable(t), kind, f.name, []fault{f}, z, db)
				})
			}
		})
	}
}
