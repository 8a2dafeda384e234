package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/bench"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// benchCmd is the load tests. Each scenario has the flags that mean something to
// it, with defaults that a laptop can do.
type benchCmd struct {
	Idle     benchIdle     `cmd:"" help:"Open sockets and leave them alone."`
	Storm    benchStorm    `cmd:"" help:"Cut all sockets off at once and see them come back."`
	Fanout   benchFanout   `cmd:"" help:"Few senders, each message to many sockets."`
	Send     benchSend     `cmd:"" help:"Many senders in small channels."`
	Mixed    benchMixed    `cmd:"" help:"Messages, typing and receipts at random times."`
	Slow     benchSlow     `cmd:"" name:"slow-readers" help:"Some sockets stop reading for a while."`
	Tabs     benchTabs     `cmd:"" help:"One page opens sockets without end while others talk."`
	Worker   struct{}      `cmd:"" hidden:"" help:"A process with a share of the sockets."`
}

// Help says what is measured.
func (benchCmd) Help() string {
	return "It speaks the protocol as clients do, so it measures any running chowk, and with\n" +
		"--old most of it any server of the old protocol. Latencies count from when an\n" +
		"event was due, so a server that stalls cannot hide it. Every run ends by itself;\n" +
		"Ctrl-C ends it early and still prints what it has.\n\n" +
		"  chowk serve --auth none &\n" +
		"  chowk bench fanout --sockets 1000 --rate 20 --html fanout.html"
}

// benchTarget is where the load goes, as whom, and what becomes of the figures.
type benchTarget struct {
	URL        string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The server. http://127.0.0.1:8080 when left out."`
	JWTSecret  string        `name:"jwt-secret" placeholder:"TEXT" help:"Sign tokens (HS256) with it, as with the setting auth.jwt-secret. Without it and without tokens a token is a user id, as auth=none believes."`
	TokenFile  string        `name:"token-file" placeholder:"FILE" help:"Use these users: a user id and a token on each line."`
	Old        bool          `name:"old" help:"Speak the old protocol: no subprotocol, and the path says who it is."`
	Channel    []chat.ID     `name:"channel" placeholder:"ID" help:"Use this channel, of which the users are members already, instead of making some. May be given several times."`
	Keep       bool          `name:"keep" help:"Leave the channels that were made; else they are archived at the end."`
	Connect    float64       `name:"connect-rate" default:"500" placeholder:"N" help:"Sockets opened a second. 500 when left out."`
	Duration   time.Duration `name:"duration" default:"30s" placeholder:"DURATION" help:"How long the load lasts. 30s when left out."`
	Source     []string      `name:"source" placeholder:"ADDRESS" help:"Connect from these addresses in turn. One address has ports for about 28,000 sockets; on loopback more are used by themselves."`
	Processes  int           `name:"processes" placeholder:"N" help:"Share the sockets among so many processes. As many as the limit on open files asks for when left out."`
	Operations string        `name:"ops" placeholder:"URL" help:"The server's operations listener, such as http://127.0.0.1:8081, to report its CPU and memory."`
		JSON string `name:"json" placeholder:"FILE" help:"Write the figures there."`
	HTML string `name:"html" placeholder:"FILE" help:"Write a page with plots there."`
}

type benchIdle struct {
	benchTarget
	Sockets int `name:"sockets" default:"1000" placeholder:"N" help:"How many. 1000 when left out."`
}

type benchStorm struct {
	benchTarget
	Sockets int           `name:"sockets" default:"1000" placeholder:"N" help:"How many. 1000 when left out."`
	Size    int           `name:"channel-size" default:"100" placeholder:"N" help:"Sockets in a channel. 100 when left out."`
	Rate    float64       `name:"rate" default:"50" placeholder:"N" help:"Messages a second in all. 50 when left out."`
	Over    time.Duration `name:"over" default:"0s" placeholder:"DURATION" help:"Spread the return over this time. All at once when left out."`
}

type benchFanout struct {
	benchTarget
	Sockets int     `name:"sockets" default:"1000" placeholder:"N" help:"How many. 1000 when left out."`
	Size    int     `name:"channel-size" default:"0" placeholder:"N" help:"Sockets in a channel. All in one when left out."`
	Rate    float64 `name:"rate" default:"20" placeholder:"N" help:"Messages a second in all. 20 when left out."`
	Bytes   int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message. 100 when left out."`
}

type benchSend struct {
	benchTarget
	Senders  int     `name:"senders" default:"100" placeholder:"N" help:"Sockets that send. 100 when left out."`
	Size     int     `name:"channel-size" default:"1" placeholder:"N" help:"Sockets in a channel, all of them senders. 1 when left out."`
	Rate     float64 `name:"rate" default:"0" placeholder:"N" help:"Messages a second in all. As fast as answers come when left out."`
	InFlight int     `name:"in-flight" default:"1" placeholder:"N" help:"Messages of one sender that may wait for their answers. 1 when left out."`
	Bytes    int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message. 100 when left out."`
}

type benchMixed struct {
	benchTarget
	Sockets int     `name:"sockets" default:"500" placeholder:"N" help:"How many. 500 when left out."`
	Size    int     `name:"channel-size" default:"10" placeholder:"N" help:"Sockets in a channel. 10 when left out."`
	Rate    float64 `name:"rate" default:"200" placeholder:"N" help:"Events a second in all: 5 of 10 messages, 3 typing, 2 receipts. 200 when left out."`
	Bytes   int     `name:"size" default:"100" placeholder:"N" help:"Bytes of a message. 100 when left out."`
}

type benchSlow struct {
	benchTarget
	Sockets int     `name:"sockets" default:"200" placeholder:"N" help:"How many. 200 when left out."`
	Slow    int     `name:"slow" default:"10" placeholder:"N" help:"How many of them stop reading for a third of the time. 10 when left out."`
	Size    int     `name:"channel-size" default:"50" placeholder:"N" help:"Sockets in a channel. 50 when left out."`
	Rate    float64 `name:"rate" default:"100" placeholder:"N" help:"Messages a second in all. 100 when left out."`
	Bytes   int     `name:"size" default:"8000" placeholder:"N" help:"Bytes of a message. 8000 when left out, so that buffers fill."`
}

type benchTabs struct {
	benchTarget
	Sockets int     `name:"sockets" default:"100" placeholder:"N" help:"Sockets of the others. 100 when left out."`
	Size    int     `name:"channel-size" default:"10" placeholder:"N" help:"Sockets in a channel. 10 when left out."`
	Rate    float64 `name:"rate" default:"100" placeholder:"N" help:"Messages of the others a second in all. 100 when left out."`
	Opens   float64 `name:"opens" default:"38" placeholder:"N" help:"Sockets that the page opens a second. 38 when left out, as measured."`
	Leaks   float64 `name:"leaks" default:"7" placeholder:"N" help:"How many of them it forgets to close. 7 when left out, as measured."`
}

func (c benchIdle) plan() bench.Plan { return bench.Plan{Sockets: c.Sockets} }

func (c benchStorm) plan() bench.Plan {
	return bench.Plan{Sockets: c.Sockets, ChannelSize: min(c.Size, c.Sockets), Senders: 1, Rate: c.Rate, Over: c.Over, InFlight: openLoop}
}

func (c benchFanout) plan() bench.Plan {
	return bench.Plan{Sockets: c.Sockets, ChannelSize: c.Size, Senders: 1, Rate: c.Rate, Size: c.Bytes, InFlight: openLoop}
}

func (c benchSend) plan() bench.Plan {
	p := bench.Plan{Sockets: c.Senders, ChannelSize: c.Size, Senders: c.Size, Rate: c.Rate, Size: c.Bytes, InFlight: c.InFlight}
	if c.Rate > 0 {
		p.InFlight = max(p.InFlight, openLoop)
	}
	return p
}

func (c benchMixed) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{Sockets: c.Sockets, ChannelSize: size, Senders: size, Rate: c.Rate, Size: c.Bytes, InFlight: openLoop}
}

func (c benchSlow) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{Sockets: c.Sockets, ChannelSize: size, Senders: 1, Rate: c.Rate, Size: c.Bytes, Slow: c.Slow, InFlight: openLoop}
}

func (c benchTabs) plan() bench.Plan {
	size := min(c.Size, c.Sockets)
	return bench.Plan{Sockets: c.Sockets, ChannelSize: size, Senders: size, Rate: c.Rate, OpenRate: c.Opens, Leak: c.Leaks, InFlight: openLoop}
}

// openLoop is how many events of one sender may be under way where they come at
// set times: far more than a server that keeps up ever has.
const openLoop = 100

// run runs the scenario that was asked for.
func (cmd *benchCmd) run(ctx context.Context, c invocation, cfg *Config, name string) error {
	name, _ = strings.CutPrefix(name, "bench ")
	if name == "worker" {
		// Ctrl-C goes to the whole group of processes; who started this one ends it.
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

func (t *benchTarget) run(ctx context.Context, c invocation, cfg *Config, p bench.Plan) error {
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
		Say: progress.Say, See: progress.See,
	})
	progress.End()
	if r == nil {
		return err
	}
	return errors.Join(err, r.Table(c.out), report.WriteFiles(r, t.JSON, t.HTML, r.HTML))
}

func (t *benchTarget) complete(p *bench.Plan, cfg *Config) (err error) {
	p.URL, p.Old, p.ConnectRate, p.Duration, p.Channels, p.Sources = t.URL, t.Old, t.Connect, t.Duration, t.Channel, t.Source
	p.Identity = bench.Identity{Secret: t.JWTSecret, Issuer: cfg.Auth.JWTIssuer, Audience: cfg.Auth.JWTAudience}
	if p.Identity.Secret == "" && cfg.Auth.Mode == auth.ModeJWT {
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
