package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/bench"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// benchCmd is the load tests. Each scenario has the flags that mean something to it,
// with defaults that suit a laptop.
type benchCmd struct {
	Idle   benchIdle   `cmd:"" help:"Open sockets and leave them idle."`
	Storm  benchStorm  `cmd:"" help:"Disconnect all sockets at once and see them come back."`
	Fanout benchFanout `cmd:"" help:"Few senders, each message to many sockets."`
	Send   benchSend   `cmd:"" help:"Many senders in small channels."`
	Mixed  benchMixed  `cmd:"" help:"Messages, typing and receipts at random times."`
	Slow   benchSlow   `cmd:"" name:"slow-readers" help:"Some sockets stop reading for a while."`
	Tabs   benchTabs   `cmd:"" help:"One page keeps opening sockets while others chat."`
	Worker struct{}    `cmd:"" hidden:"" help:"A process with a share of the sockets."`
}

// Help describes what is measured.
func (benchCmd) Help() string {
	return "It speaks the protocol as clients do, so it measures any running chowk and, with\n" +
		"--old, most of it any server of the old protocol. Latency counts from the moment at\n" +
		"which a command was due, so a server that stalls cannot hide it. Each run ends by\n" +
		"itself; Ctrl-C ends it early and still prints its results.\n\n" +
		"  chowk serve --auth none &\n" +
		"  chowk bench fanout --sockets 1000 --rate 20 --html fanout.html"
}

// benchHelp are the help texts that are too long for a tag.
var benchHelp = kong.Vars{
	"bench_secret": "Sign tokens (HS256) with this secret, as with the setting auth.jwt-secret. Without it and " +
		"without --token-file a token is a user id, as auth=none accepts.",
	"bench_old": "Speak the old protocol: no subprotocol, and the path names the user.",
	"bench_channel": "Use this channel, which the users are members of, instead of creating channels. May be given " +
		"several times.",
	"bench_keep": "Keep the channels that were created instead of archiving them at the end.",
	"bench_source": "Connect from these addresses in turn. An address has ports for about 28,000 sockets; on loopback " +
		"more are added as needed.",
	"bench_processes": "Number of processes to share the sockets between. Default: as many as the limit on open files " +
		"requires.",
	"bench_mixed_rate": "Commands a second in all: of ten, five are messages, three typing and two receipts.",
	"bench_ops": "The server's listener for operators, such as http://127.0.0.1:8081, to report its CPU and " +
		"memory.",
	"bench_tokens": "Use these users: a user id and a token on each line.",
}

// benchTarget is the server to load, the users, and what becomes of the results.
type benchTarget struct {
	URL        string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The server."`
	JWTSecret  string        `name:"jwt-secret" placeholder:"TEXT" help:"${bench_secret}"`
	TokenFile  string        `name:"token-file" placeholder:"FILE" help:"${bench_tokens}"`
	Old        bool          `name:"old" help:"${bench_old}"`
	Channel    []chat.ID     `name:"channel" placeholder:"ID" help:"${bench_channel}"`
	Keep       bool          `name:"keep" help:"${bench_keep}"`
	Connect    float64       `name:"connect-rate" default:"500" placeholder:"N" help:"Sockets opened a second."`
	Duration   time.Duration `name:"duration" default:"30s" placeholder:"DURATION" help:"How long the load lasts."`
	Source     []string      `name:"source" placeholder:"ADDRESS" help:"${bench_source}"`
	Processes  int           `name:"processes" placeholder:"N" help:"${bench_processes}"`
	Operations string        `name:"ops" placeholder:"URL" help:"${bench_ops}"`
	JSON       string        `name:"json" placeholder:"FILE" help:"Write the results there as JSON."`
	HTML       string        `name:"html" placeholder:"FILE" help:"Write a page with plots there."`
}

type benchIdle struct {
	benchTarget
	Sockets int `name:"sockets" default:"1000" placeholder:"N" help:"Number of sockets."`
}

type benchStorm struct {
	benchTarget
	Sockets int           `name:"sockets" default:"1000" placeholder:"N" help:"Number of sockets."`
	Size    int           `name:"channel-size" default:"100" placeholder:"N" help:"Sockets in a channel."`
	Rate    float64       `name:"rate" default:"50" placeholder:"N" help:"Messages a second in all."`
	Over    time.Duration `name:"over" placeholder:"DURATION" help:"Spread the return over this time."`
}

type benchFanout struct {
	benchTarget
	Sockets int     `name:"sockets" default:"1000" placeholder:"N" help:"Number of sockets."`
	Size    int     `name:"channel-size" placeholder:"N" help:"Sockets in a channel. Default: all in one."`
	Rate    float64 `name:"rate" default:"20" placeholder:"N" help:"Messages a second in all."`
	Bytes   int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message."`
}

type benchSend struct {
	benchTarget
	Senders  int     `name:"senders" default:"100" placeholder:"N" help:"Sockets that send."`
	Size     int     `name:"channel-size" default:"1" placeholder:"N" help:"Sockets in a channel, all of them senders."`
	Rate     float64 `name:"rate" placeholder:"N" help:"Messages a second in all. Default: as fast as answers come."`
	InFlight int     `name:"in-flight" default:"1" placeholder:"N" help:"Unanswered messages a sender may have."`
	Bytes    int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message."`
}

type benchMixed struct {
	benchTarget
	Sockets int     `name:"sockets" default:"500" placeholder:"N" help:"Number of sockets."`
	Size    int     `name:"channel-size" default:"10" placeholder:"N" help:"Sockets in a channel."`
	Rate    float64 `name:"rate" default:"200" placeholder:"N" help:"${bench_mixed_rate}"`
	Bytes   int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message."`
}

type benchSlow struct {
	benchTarget
	Sockets int     `name:"sockets" default:"200" placeholder:"N" help:"Number of sockets."`
	Slow    int     `name:"slow" default:"10" placeholder:"N" help:"Sockets that stop reading for a third of the time."`
	Size    int     `name:"channel-size" default:"50" placeholder:"N" help:"Sockets in a channel."`
	Rate    float64 `name:"rate" default:"100" placeholder:"N" help:"Messages a second in all."`
	Bytes   int     `name:"size" default:"8000" placeholder:"N" help:"Bytes of a message, many so that buffers fill."`
}

type benchTabs struct {
	benchTarget
	Sockets int     `name:"sockets" default:"100" placeholder:"N" help:"Sockets of the others."`
	Size    int     `name:"channel-size" default:"10" placeholder:"N" help:"Sockets in a channel."`
	Rate    float64 `name:"rate" default:"100" placeholder:"N" help:"Messages of the others a second in all."`
	Opens   float64 `name:"opens" default:"38" placeholder:"N" help:"Sockets the page opens a second, as measured."`
	Leaks   float64 `name:"leaks" default:"7" placeholder:"N" help:"Of these, how many it forgets to close, as measured."`
}

func (c benchIdle) plan() bench.Plan { return bench.Plan{Sockets: c.Sockets} }

func (c benchStorm) plan() bench.Plan {
	return bench.Plan{
		Sockets: c.Sockets, ChannelSize: min(c.Size, c.Sockets), Senders: 1, Rate: c.Rate, Over: c.Over,
		InFlight: openLoop,
	}
}

func (c benchFanout) plan() bench.Plan {
	return bench.Plan{Sockets: c.Sockets, ChannelSize: c.Size, Senders: 1, Rate: c.Rate, Size: c.Bytes, InFlight: openLoop}
}

func (c benchSend) plan() bench.Plan {
	p := bench.Plan{
		Sockets: c.Senders, ChannelSize: c.Size, Senders: c.Size, Rate: c.Rate, Size: c.Bytes, InFlight: c.InFlight,
	}
	if c.Rate > 0 {
		p.InFlight = max(p.InFlight, openLoop)
	}
	return p
}

func (c benchMixed) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{
		Sockets: c.Sockets, ChannelSize: size, Senders: size, Rate: c.Rate, Size: c.Bytes, InFlight: openLoop,
	}
}

func (c benchSlow) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{
		Sockets: c.Sockets, ChannelSize: size, Senders: 1, Rate: c.Rate, Size: c.Bytes, Slow: c.Slow, InFlight: openLoop,
	}
}

func (c benchTabs) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{
		Sockets: c.Sockets, ChannelSize: size, Senders: size, Rate: c.Rate, OpenRate: c.Opens, Leak: c.Leaks,
		InFlight: openLoop,
	}
}

// openLoop is how many commands of one sender may be in flight where they are sent at
// set times: far more than a server that keeps up ever has.
const openLoop = 100

// run runs the scenario called name.
func (cmd *benchCmd) run(ctx context.Context, c invocation, cfg *config, name string) error {
	name, _ = strings.CutPrefix(name, "bench ")
	if name == "worker" {
		// Ctrl-C reaches the whole group of processes; the process that started this one ends it.
		return bench.Serve(context.WithoutCancel(ctx), os.Stdin, c.out)
	}
	var target benchTarget
	var p bench.Plan
	for _, s := range []struct {
		name   string
		target benchTarget
		plan   func() bench.Plan
	}{
		{"idle", cmd.Idle.benchTarget, cmd.Idle.plan},
		{"storm", cmd.Storm.benchTarget, cmd.Storm.plan},
		{"fanout", cmd.Fanout.benchTarget, cmd.Fanout.plan},
		{"send", cmd.Send.benchTarget, cmd.Send.plan},
		{"mixed", cmd.Mixed.benchTarget, cmd.Mixed.plan},
		{"slow-readers", cmd.Slow.benchTarget, cmd.Slow.plan},
		{"tabs", cmd.Tabs.benchTarget, cmd.Tabs.plan},
	} {
		if s.name == name {
			target, p = s.target, s.plan()
		}
	}
	p.Scenario = name
	return target.run(ctx, c, cfg, p)
}

func (t *benchTarget) run(ctx context.Context, c invocation, cfg *config, p bench.Plan) error {
	if err := t.complete(&p, cfg); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	progress := bench.NewProgress(c.err)
	r, err := bench.Run(ctx, p, bench.Options{
		Processes: t.Processes, Command: []string{self, "bench", "worker"}, Ops: t.Operations, Keep: t.Keep,
		Print: progress.Print, OnProgress: progress.Show,
	})
	progress.End()
	if r == nil {
		return err
	}
	return errors.Join(err, r.Table(c.out), report.WriteFiles(r, t.JSON, t.HTML, r.HTML))
}

func (t *benchTarget) complete(p *bench.Plan, cfg *config) (err error) {
	p.URL, p.Old, p.ConnectRate, p.Duration = t.URL, t.Old, t.Connect, t.Duration
	p.Channels, p.Sources = t.Channel, t.Source
	p.Identity = bench.Identity{Secret: t.JWTSecret, Issuer: cfg.Auth.JWTIssuer, Audience: cfg.Auth.JWTAudience}
	if p.Identity.Secret == "" && cfg.Auth.Mode == string(auth.ModeJWT) {
		p.Identity.Secret = cfg.Auth.JWTSecret
	}
	if t.TokenFile != "" {
		text, err := os.ReadFile(t.TokenFile)
		if err != nil {
			return fmt.Errorf("read the token file: %w", err)
		}
		if p.Identity.Tokens, err = bench.ParseTokens(string(text)); err != nil {
			return err
		}
	}
	return nil
}
