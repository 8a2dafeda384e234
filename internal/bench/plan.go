package bench

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Plan describes one run: the load, the server, the users and the duration. Every
// number is bounded, and so is the run: it ends by itself.
type Plan struct {
	Scenario string
	// URL is the server's, such as http://127.0.0.1:8080.
	URL string
	// Old uses the old protocol: no subprotocol, no token, and channels have to be joined.
	Old      bool
	Identity Identity
	// Run is part of the name of everything that the run creates.
	Run string

	// Sockets is the total, opened at ConnectRate per second. Each has a user of its own,
	// or uses the given tokens in turn.
	Sockets     int
	ConnectRate float64
	// ChannelSize is the number of sockets in a channel; the first Senders of each send.
	ChannelSize, Senders int
	// Rate is the number of commands per second in total; 0 means as fast as answers
	// arrive, with InFlight unanswered commands for each sender.
	Rate     float64
	InFlight int
	// Size is the size of a message's content in bytes.
	Size int
	// Duration is how long the load lasts, divided among the phases of the scenario.
	Duration time.Duration
	// Over spreads the return of disconnected sockets over this time: storm.
	Over time.Duration
	// Slow is the number of sockets that stop reading: slow-readers, incident.
	Slow int
	// OpenRate is how many sockets per second a page in a reconnect loop opens, and Leak
	// how many of them it leaves open: tabs.
	OpenRate, Leak float64

	// Sources are the local addresses to connect from, in turn; none means any.
	Sources []string
	// Channels are those to use, one for each ChannelSize sockets.
	Channels []chat.ID
	// First and Count are a worker's share of the sockets.
	First, Count int
	// Start is when the run began, Every the time between ticks.
	Start time.Time
	Every time.Duration
}

// Identity is how sockets authenticate: with a token of the list, with one signed with
// the secret, or else with their user id, for servers with auth=none.
type Identity struct {
	Tokens                   []Token
	Secret, Issuer, Audience string
}

// Token is the token of a user.
type Token struct {
	User  chat.UserID
	Token string
}

// Bounds of a run.
const (
	maxSockets  = 1_000_000
	maxDuration = 24 * time.Hour
	maxRate     = 10_000_000
	minSize     = 48
	maxInFlight = 1000
	ticksWanted = 120
)

// complete checks a plan and fills in what follows from the rest.
func (p *Plan) complete() error {
	s, known := scenarios[p.Scenario]
	if !known {
		return fmt.Errorf("there is no scenario %q", p.Scenario)
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--url must look like http://127.0.0.1:8080, not %q", p.URL)
	}
	p.URL = u.Scheme + "://" + u.Host
	if p.ChannelSize == 0 {
		p.ChannelSize = p.Sockets
	}
	if p.InFlight == 0 {
		p.InFlight = 1
	}
	for _, b := range []struct {
		flag             string
		value, low, high float64
	}{
		{"sockets", float64(p.Sockets), 1, maxSockets},
		{"connect-rate", p.ConnectRate, 1, maxRate},
		{"channel-size", float64(p.ChannelSize), 1, float64(p.Sockets)},
		{"senders", float64(p.Senders), 0, float64(p.ChannelSize)},
		{"rate", p.Rate, 0, maxRate},
		{"in-flight", float64(p.InFlight), 1, maxInFlight},
		{"size", float64(p.Size), 0, chat.MaxContent},
		{"duration", p.Duration.Seconds(), 0, maxDuration.Seconds()},
		{"over", p.Over.Seconds(), 0, maxDuration.Seconds()},
		{"slow", float64(p.Slow), 0, float64(p.Sockets)},
		{"open-rate", p.OpenRate, 0, maxRate},
		{"leak", p.Leak, 0, p.OpenRate},
	} {
		if math.IsNaN(b.value) || b.value < b.low || b.value > b.high {
			number := plainNumber
			if b.flag == "duration" || b.flag == "over" {
				number = plainDuration
			}
			return fmt.Errorf("--%s must be from %s to %s, not %s", b.flag, number(b.low), number(b.high), number(b.value))
		}
	}
	p.Size = max(p.Size, minSize)
	if p.Every == 0 {
		p.Every = min(max((p.Duration/ticksWanted).Round(50*time.Millisecond), 100*time.Millisecond), time.Second)
	}
	if s.needsChannels && p.Senders == 0 {
		return errors.New("--senders is 0, so nothing would be sent")
	}
	return nil
}

func plainNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func plainDuration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).String()
}

// channel returns the number of the ith socket's channel.
func (p *Plan) channel(i int) int { return i / p.ChannelSize }

// channelCount returns how many channels the sockets need.
func (p *Plan) channelCount() int { return (p.Sockets + p.ChannelSize - 1) / p.ChannelSize }

// sends reports whether the ith socket is a sender, and its number among all senders.
func (p *Plan) sends(i int) (nth int, ok bool) {
	place := i % p.ChannelSize
	return p.channel(i)*p.Senders + place, place < p.Senders
}

// senders returns the number of senders.
func (p *Plan) senders() int {
	full := p.Sockets / p.ChannelSize
	return full*p.Senders + min(p.Sockets-full*p.ChannelSize, p.Senders)
}

// isSlow reports whether the ith socket is one that stops reading. They are the last
// ones, and not senders as long as there are others.
func (p *Plan) isSlow(i int) bool {
	channels := p.channelCount()
	c := p.channel(i)
	size := min(p.ChannelSize, p.Sockets-c*p.ChannelSize)
	mine := p.Slow / channels
	if c < p.Slow%channels {
		mine++
	}
	return i%p.ChannelSize >= size-mine
}

// share returns one worker's part of the plan.
func (p Plan) share(worker, workers int) Plan {
	p.First = p.Sockets * worker / workers
	p.Count = p.Sockets*(worker+1)/workers - p.First
	return p
}

// ParseTokens parses a file of tokens: a user id and a token on each line.
func ParseTokens(text string) ([]Token, error) {
	var all []Token
	for i, line := range slices.Collect(strings.Lines(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || !chat.UserID(fields[0]).Valid() {
			return nil, fmt.Errorf("line %d of the token file must be a user id and a token", i+1)
		}
		all = append(all, Token{User: chat.UserID(fields[0]), Token: fields[1]})
	}
	if len(all) == 0 {
		return nil, errors.New("the token file has no tokens")
	}
	return all, nil
}
