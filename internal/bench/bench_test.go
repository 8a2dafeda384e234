package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/bench/report"
	"github.com/chowk-chat/chowk/internal/testkit"
)

const second = time.Second

// plans are short runs of every scenario.
var plans = map[string]Plan{
	idle:   {Sockets: 20, ConnectRate: 200, Duration: second / 2},
	storm:  {Sockets: 20, ConnectRate: 200, ChannelSize: 10, Senders: 1, Rate: 20, InFlight: 100, Duration: second},
	fanout: {Sockets: 20, ConnectRate: 200, Senders: 1, Rate: 20, InFlight: 100, Size: 100, Duration: second},
	send:   {Sockets: 8, ConnectRate: 200, ChannelSize: 2, Senders: 2, Size: 100, Duration: second / 2},
	mixed:  {Sockets: 20, ConnectRate: 200, ChannelSize: 10, Senders: 10, Rate: 100, InFlight: 100, Duration: second},
	slow: {
		Sockets: 20, ConnectRate: 200, ChannelSize: 10, Senders: 1, Slow: 2, Rate: 60, InFlight: 100, Size: 8000,
		Duration: 3 * second,
	},
	tabs: {
		Sockets: 10, ConnectRate: 200, ChannelSize: 10, Senders: 10, Rate: 50, InFlight: 100, OpenRate: 40, Leak: 10,
		Duration: second,
	},
}

func TestEveryScenarioMeasuresARealServer(t *testing.T) {
	url, ops := serve(t, "--auth=none", "--limits.commands-per-second=100000")
	for name, p := range plans {
		for _, old := range []bool{false, true} {
			if old && name != idle && name != storm && name != fanout {
				continue
			}
			p.Old, p.Scenario, p.URL = old, name, url
			t.Run(map[bool]string{false: name, true: name + " old"}[old], func(t *testing.T) {
				t.Parallel()
				r, err := Run(t.Context(), p, Options{Ops: ops})
				if err != nil {
					t.Fatal(err)
				}
				plausible(t, &p, r)
				wellFormed(t, r)
			})
		}
	}
}

// plausible checks the report of a server that lost nothing.
func plausible(t *testing.T, p *Plan, r *report.Report) {
	t.Helper()
	for _, f := range r.Findings {
		t.Errorf("finding: %s", f)
	}
	sum := make(map[string]int64)
	latencies := make(map[string]report.Latency)
	for _, ph := range r.Phases {
		for name, n := range ph.Counts {
			sum[name] += n
		}
		for name, l := range ph.Latencies {
			latencies[name] = l
			if l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max*1.001 {
				t.Errorf("%s of %s is not a distribution: %+v", name, ph.Name, l)
			}
		}
	}
	if r.Phases[0].Counts["opened"] != int64(p.Sockets) {
		t.Errorf("%d sockets opened, want %d", r.Phases[0].Counts["opened"], p.Sockets)
	}
	if r.Server == nil || r.Server.MemoryMost == 0 {
		t.Error("the report has nothing about the server's memory")
	}
	if p.Scenario == idle {
		return
	}
	if sum["stored"] == 0 || sum["sent"] != sum["acked"] {
		t.Errorf("sent %d, acknowledged %d, stored %d", sum["sent"], sum["acked"], sum["stored"])
	}
	if want := sum["stored"] * int64(p.ChannelSize); p.Scenario != storm && p.ChannelSize > 0 && sum["delivered"] != want {
		t.Errorf("%d messages delivered, want %d", sum["delivered"], want)
	}
	for name, clock := range map[string]string{storm: "back", slow: "delivery_slow", fanout: "delivery", send: "ack"} {
		if _, ok := latencies[clock]; name == p.Scenario && !ok {
			t.Errorf("the report has no latency %s", clock)
		}
	}
}

// wellFormed checks a report in all its formats.
func wellFormed(t *testing.T, r *report.Report) {
	t.Helper()
	var asJSON, asHTML, asText bytes.Buffer
	for _, err := range []error{report.WriteJSON(&asJSON, r), r.HTML(&asHTML), r.Table(&asText)} {
		if err != nil {
			t.Error(err)
		}
	}
	var back report.Report
	var again bytes.Buffer
	if err := errors.Join(json.Unmarshal(asJSON.Bytes(), &back), report.WriteJSON(&again, &back)); err != nil ||
		again.String() != asJSON.String() {
		t.Errorf("the JSON does not read back as the report: %v", err)
	}
	page := asHTML.String()
	if !strings.Contains(page, "<svg") || !strings.Contains(page, r.Title) {
		t.Error("the page is empty")
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|\bsrc=|url\(|@import|\shref=`).FindString(page); found != "" {
		t.Errorf("the page loads something: %s", found)
	}
	if !strings.Contains(asText.String(), "sockets opened") {
		t.Errorf("the table is empty:\n%s", asText.String())
	}
}

func TestProcessesShareTheSockets(t *testing.T) {
	t.Parallel()
	url, ops := serve(t, "--auth=none")
	p := plans[fanout]
	p.Scenario, p.URL = fanout, url
	r, err := Run(t.Context(), p, Options{Processes: 3, Command: []string{testkit.Binary(t), "bench", "worker"}, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	p.ChannelSize = p.Sockets
	plausible(t, &p, r)
	most := int64(0)
	for _, point := range r.Points {
		most = max(most, point.Open)
	}
	if most != int64(p.Sockets) {
		t.Errorf("%d sockets were open at once in all processes, want %d", most, p.Sockets)
	}
}

func TestTokensAreSignedWithTheSecret(t *testing.T) {
	t.Parallel()
	const secret = "5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"
	url, _ := serve(t, "--limits.commands-per-second=100000", "--auth=jwt", "--auth.jwt-secret="+secret,
		"--auth.jwt-issuer=app")
	p := plans[send]
	p.Scenario, p.URL, p.Identity = send, url, Identity{Secret: secret, Issuer: "app"}
	if r, err := Run(t.Context(), p, Options{}); err != nil || len(r.Findings) > 0 {
		t.Errorf("%v; report %+v", err, r)
	}
	p.Identity.Secret += "x"
	if _, err := Run(t.Context(), p, Options{}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with the wrong secret: %v", err)
	}
}

// A server stops answering for a while. Latencies that count from when a command could
// be written show one slow answer; latencies that count from when it was due show all
// of them.
func TestAStallCountsForEveryCommandDueInIt(t *testing.T) {
	t.Parallel()
	const stall = 700 * time.Millisecond
	url := fake(t, func(send func(string), commands <-chan string) {
		n := 0
		for range commands {
			if n++; n == 10 {
				time.Sleep(stall)
			}
			send(`{"type":"ack","event":"new_message","response":{"status":"sent"}}`)
		}
	})
	r, err := Run(t.Context(), Plan{
		Scenario: fanout, URL: url, Sockets: 1, ConnectRate: 100, Senders: 1, Rate: 100, InFlight: 1, Duration: 2 * second,
	}, Options{Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Phases[1].Latencies["ack"]; l.P50 < 100 && l.P90 < 300 {
		t.Errorf("half of the commands were due while the server stalled or caught up, but the distribution is %+v", l)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seqs []int
		want string
	}{
		"a gap":    {[]int{2, 3, 5}, "1 messages were missing"},
		"a repeat": {[]int{2, 3, 3}, "1 messages arrived twice"},
		"too few":  {[]int{2}, "deliveries were still missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := fake(t, func(send func(string), commands <-chan string) {
				if <-commands == "" {
					return
				}
				for _, seq := range c.seqs {
					send(message(seq))
				}
				send(`{"type":"ack","event":"new_message","response":{"status":"sent"}}`)
				for range commands {
					send(`{"type":"ack","event":"new_message","response":{"status":"sent"}}`)
				}
			})
			r, err := Run(t.Context(), Plan{
				Scenario: fanout, URL: url, Sockets: 1, ConnectRate: 100, Senders: 1, Rate: 20, InFlight: 10, Duration: second / 2,
			}, Options{Keep: true})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Findings, func(f string) bool { return strings.Contains(f, c.want) }) {
				t.Errorf("no finding contains %q: %q", c.want, r.Findings)
			}
		})
	}
}

func TestRefusalsAreCountedByTheirCodes(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, "--auth=none", "--limits.commands-per-second=10", "--limits.commands-burst=5")
	r, err := Run(t.Context(), Plan{
		Scenario: send, URL: url, Sockets: 1, ConnectRate: 100, Senders: 1, Rate: 100, InFlight: 100, Duration: second,
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	load := r.Phases[1]
	if load.Codes["rate_limited"] == 0 || load.Codes["rate_limited"] != load.Counts["denied"] {
		t.Errorf("counts %v, codes %v", load.Counts, load.Codes)
	}
}

func TestAnInterruptedRunReportsWhatItHas(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, "--auth=none")
	p := plans[fanout]
	p.Scenario, p.URL, p.Duration = fanout, url, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Run(ctx, p, Options{OnProgress: func(n Now) {
		if n.Point.Rates["acked"] > 0 {
			cancel()
		}
	}})
	cancel()
	if err != nil || !r.Interrupted || r.Phases[1].Counts["acked"] == 0 {
		t.Errorf("%v; report %+v", err, r)
	}
}
