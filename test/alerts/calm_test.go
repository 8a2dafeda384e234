//go:build !windows

package alerts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestNoAlertFiresInCalm puts ordinary load on two servers, one on each database: users
// who send, type and read, and clients that come and go twelve times per second. No
// alert may fire at any moment, or be pending at the end. (Alerts that are pending for
// a moment are logged.)
func TestNoAlertFiresInCalm(t *testing.T) {
	program(t, "prometheus")
	lasts := 5 * time.Second
	if !everything() {
		t.Parallel() // otherwise it runs alone: faults keep the machine busy
	} else {
		lasts = 3 * time.Hour / speed // the longest time for which an alert waits is an hour
	}
	servers := []*server{serve(t, speed, pgtest.Database(t)), serve(t, speed, sqlite(t))}
	var targets []string
	for _, s := range servers {
		targets = append(targets, s.ops)
		newUsers(t, s).visit(time.Second / 12)
	}
	prom := watch(t, speed, targets...)
	var benches []*exec.Cmd
	var sayings []*bytes.Buffer
	for _, s := range servers {
		bench := exec.CommandContext(t.Context(), testkit.Binary(t), "bench", "mixed", "--url=http://"+s.address,
			"--sockets=100", "--rate=40", fmt.Sprintf("--duration=%v", lasts))
		bench.Env = []string{"PATH=" + os.Getenv("PATH")} // as for the server
		said := new(bytes.Buffer)
		bench.Stdout, bench.Stderr = said, said
		if err := bench.Start(); err != nil {
			t.Fatal(err)
		}
		benches, sayings = append(benches, bench), append(sayings, said)
	}
	for i, b := range benches {
		if err := b.Wait(); err != nil {
			t.Errorf("the load on %s: %v\n\t%s\nthe server's log:\n\t%s", servers[i].database, err, lines(sayings[i].String()),
				lines(servers[i].Log.Text()))
		}
	}
	now, err := prom.alerts()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range now {
		t.Errorf("%s is %s at the end: %s (%s)", a.name(), a.State, a.Annotations["description"], a.Value)
	}
	seen := prom.states()
	for _, s := range slices.DeleteFunc(slices.Clone(seen),
		func(s string) bool { return !strings.HasSuffix(s, " firing") }) {
		t.Errorf("in calm: %s", s)
	}
	t.Logf("for %v, which is %v for the rules; seen: %v", lasts, lasts*speed, seen)
	for _, counter := range []string{"chowk_journal_refused_total", "chowk_db_refusals_total"} {
		if n, err := prom.query("sum(" + counter + ")"); err != nil || len(n) == 1 && n[0].number() > 0 {
			t.Logf("%s: %v %v: this machine was too busy", counter, n, err)
		}
	}
	done, err := prom.query(`sum(increase(chowk_commands_total{result="ok"}[1h]))`)
	if err != nil || len(done) != 1 || done[0].number() < lasts.Seconds()*20 {
		t.Errorf("there was no load: %v, %v", done, err)
	}
}
