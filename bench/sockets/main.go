// Command benchsockets compares chowk's sockets with servers built with other
// libraries, and with a bare loop of write(2), in one run on one machine: the cost of
// an idle socket, a broadcast, an echo, slow readers, a client in a reconnect loop, and
// a storm of connections. Each server is a process of its own. Compare their CPU time:
// rates depend on the client, which shares the machine.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// messageBytes is the size of a message's content.
const messageBytes = 128

// bench is one run.
type bench struct {
	binary  string
	targets []string
	sockets int // for broadcasts
	idle    int
	seconds int
	rate    int
	profile string
	settle  time.Duration
	results []result
}

// result is one line of the table.
type result struct {
	Scenario string  `json:"scenario"`
	Server   string  `json:"server"`
	Values   []value `json:"values"`
}

type value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

var scenarios = []struct {
	name string
	run  func(b *bench) error
}{
	{"idle", (*bench).runIdle},
	{"broadcast", (*bench).runBroadcast},
	{"groups", (*bench).runGroups},
	{"backlog", (*bench).runBacklog},
	{"echo", (*bench).runEcho},
	{"slow", (*bench).runSlow},
	{"loop", (*bench).runLoop},
	{"storm", (*bench).runStorm},
}

func main() {
	b := &bench{}
	run := flag.String("run", "",
		"scenarios, separated by commas; all when empty: idle broadcast groups backlog echo slow loop storm")
	servers := flag.String("servers", "write,chowk,gws,gorilla,coder,centrifuge,centrifuge-20ms",
		"servers to measure, separated by commas")
	flag.StringVar(&b.binary, "chowk", "bin/chowk", "chowk's binary")
	flag.IntVar(&b.sockets, "sockets", 10_000, "sockets of the broadcasts, the echo and the slow readers")
	flag.IntVar(&b.idle, "idle", 15_000, "idle sockets, and sockets of the storm")
	flag.IntVar(&b.seconds, "seconds", 20, "length of a measurement")
	flag.IntVar(&b.rate, "rate", 200, "events per second while readers are slow")
	out := flag.String("json", "", "file for the results as JSON")
	flag.DurationVar(&b.settle, "settle", 40*time.Second, "how long sockets are idle before memory is measured")
	flag.StringVar(&b.profile, "profile", "", "file for chowk's heap profile at the end of idle")
	serving := flag.String("serve", "", "run a server of this kind (the benchmark starts itself with this flag)")
	flag.Parse()
	if *serving != "" {
		fail(serve(*serving))
		return
	}
	raiseLimit()
	b.targets = strings.Split(*servers, ",")
	for _, s := range scenarios {
		if *run == "" || slices.Contains(strings.Split(*run, ","), s.name) {
			fail(s.run(b))
		}
	}
	if *out != "" {
		text, err := json.MarshalIndent(map[string]any{
			"time": time.Now().UTC().Format(time.RFC3339), "go": runtime.Version(), "cores": runtime.NumCPU(),
			"results": b.results,
		}, "", "  ")
		fail(err)
		fail(os.WriteFile(*out, append(text, '\n'), 0o644))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchsockets:", err)
		os.Exit(1)
	}
}

func raiseLimit() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}

func (b *bench) add(scenario, server string, values ...value) {
	b.results = append(b.results, result{scenario, server, values})
	fmt.Printf("%-10s %-16s", scenario, server)
	for _, v := range values {
		fmt.Printf("  %s %s%s", v.Name, number4(v.Value), v.Unit)
	}
	fmt.Println()
}

func number4(f float64) string {
	switch {
	case f >= 100 || f == float64(int(f)):
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// with runs f with a new server and a fleet.
func (b *bench) with(name string, extra int, f func(t target, fl *fleet) error) error {
	var t target
	var err error
	if name == "chowk" {
		t, err = startChowk(b.binary, extra)
	} else {
		t, err = startLibrary(name)
	}
	if err != nil {
		return err
	}
	defer t.stop()
	fl, err := newFleet()
	if err != nil {
		return err
	}
	defer fl.close()
	if err := f(t, fl); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// each runs f for every selected server.
func (b *bench) each(extra int, f func(t target, fl *fleet) error) error {
	for _, name := range b.targets {
		if err := b.with(name, extra, f); err != nil {
			return err
		}
	}
	return nil
}

// onlyChowk runs f with chowk, if it is selected.
func (b *bench) onlyChowk(extra int, f func(t *chowk, fl *fleet) error) error {
	if !slices.Contains(b.targets, "chowk") {
		return nil
	}
	return b.with("chowk", extra, func(t target, fl *fleet) error { return f(t.(*chowk), fl) })
}
