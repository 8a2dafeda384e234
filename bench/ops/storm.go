//go:build !windows

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
	load "github.com/chowk-chat/chowk/internal/bench"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// secret signs the tokens of a storm: every client comes back with a new one, so that
// the server has none of them cached.
const secret = "a secret for no one, 32 bytes and more"

// storms lets thousands of sockets come back at one moment, and again directly
// afterwards.
func (b *bench) storms(ctx context.Context, r *result) error {
	url, err := b.database("postgres")
	if err != nil {
		return err
	}
	s, err := b.serve(ctx, url, "--auth=jwt", "--auth.jwt-secret="+secret)
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }()
	others := b.foreign(s)
	for _, name := range []string{"first", "second, right after"} {
		if err := b.oneStorm(ctx, r, s, name); err != nil {
			return err
		}
	}
	r.Foreign = others.percent()
	return nil
}

func (b *bench) oneStorm(ctx context.Context, r *result, s *server, name string) error {
	watched := s.watch(ctx)
	before := s.numbers(ctx)
	var cpu, cpuAfter float64 // at the beginning and the end of the storm itself
	out, err := load.Run(ctx, load.Plan{
		Scenario: "storm", URL: s.url, Identity: load.Identity{Secret: secret}, Sockets: b.storm, ConnectRate: 1000,
		ChannelSize: min(100, b.storm), Senders: 1,
		Rate: 50, InFlight: 100, Duration: 15 * time.Second,
	}, load.Options{Keep: true, OnProgress: func(n load.Now) {
		switch n.Phase {
		case "calm":
			cpu = s.cpu()
		case "storm", "settle":
			cpuAfter = s.cpu()
		}
	}})
	watched.stop()
	if err != nil {
		return err
	}
	after := s.numbers(ctx)
	storm, err := phase(out, "storm")
	if err != nil {
		return err
	}
	back, busy := storm.Counts["opened"], storm.Codes["http 503"]
	r.figure(name+": sockets that came back", float64(back), "")
	r.figure("  until all were back", storm.Seconds, "s")
	r.figure("  until one was back, p50", storm.Latencies["back"].P50, "ms")
	r.figure("  until one was back, p99", storm.Latencies["back"].P99, "ms")
	r.figure("  sockets per second of the server's CPU time", float64(back)/max(cpuAfter-cpu, 0.01), "")
	r.figure("  asked to come back later (503)", float64(busy), "")
	r.figure("  ack of the senders, p99", storm.Latencies["ack"].P99, "ms")
	r.figure("  connections to the database in use, at most", watched.inUse, "")
	r.figure("  memory of the server, at most", watched.memory/(1<<20), "MiB")
	errors := int64(0)
	for code, n := range storm.Codes {
		switch code {
		case "http 503":
		case string(chat.Overloaded), string(chat.Unavailable): // messages of the senders
			r.figure("  messages answered by "+code, float64(n), "")
		default:
			errors += n
			r.figure("  "+code, float64(n), "")
		}
	}
	if failed := storm.Counts["failed"]; failed > 0 {
		r.figure("  connections that failed", float64(failed), "")
		errors += failed
	}
	const unavailable = `chowk_handshakes_total{result="unavailable"}`
	away := after[unavailable] - before[unavailable]
	r.mark(name+" storm: handshakes that failed for another reason than admission", float64(errors)+away, 0)
	r.mark(name+" storm: connections to the database in use", watched.inUse, 10)
	if missing := int64(b.storm-(b.storm+99)/min(100, b.storm)) - back; missing > 0 && b.storm >= 100 {
		return fmt.Errorf("%d sockets did not come back", missing)
	}
	return nil
}

func phase(r *report.Report, name string) (*report.Phase, error) {
	for i := range r.Phases {
		if r.Phases[i].Name == name {
			return &r.Phases[i], nil
		}
	}
	return nil, fmt.Errorf("the load had no phase %q", name)
}
