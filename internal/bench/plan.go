package bench

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Plan is one run: what to do to which server, as whom, and for how long. Every
// number is bounded, and so is the whole: it ends by itself.
type Plan struct {
	Scenario string
	// URL is the server's, such as http://127.0.0.1:8080.
	URL string
	// Old speaks the old protocol: no subprotocol, no token, channels are joined.
	Old      bool
	Identity Identity
	// Run is in the names of all that the run makes.
	Run string

	// Sockets are opened in all, ConnectRate of them a second, each of a user of its
	// own (or of the tokens given, in turn).
	Sockets     int
	ConnectRate float64
	// ChannelSize is how many sockets share a channel; the first Senders of each send.
	ChannelSize, Senders int
	// Rate is how many events are due a second in all; 0 is as fast as they are
	// answered, InFlight at once for each sender.
	Rate     float64
	InFlight int
	// Size is that of a message's content, in bytes.
	Size int
	// Duration is how long the load lasts, in phases where there are several.
	Duration time.Duration
	// Over is the time over which those come back who were cut off: storm.
	Over time.Duration
	// Slow is how many sockets stop reading: slow-readers, incident.
	Slow int
	// OpenRate is how many sockets a tab gone wild opens a second, and Leak how many
	// of them it leaves open: tabs.
	OpenRate, Leak float64

	// Sources are the local addresses to connect from, in turn; none is any.
	Sources []string
	// Channels are those to use, one for each ChannelSize sockets.
	Channels []chat.ID
	// First and Count are one worker's share of the sockets.
	First, Count int
	// Start is when the run began; ticks are Every apart.
	Start time.Time
	Every time.Duration
}

// Identity is how sockets say who they are: with a token of the list, with one
// made from the secret, else with their user id, as auth=none believes.
type Identity struct {
	Tokens                   []Token
	Secret, Issuer, Audience string
}

// Token is a user's.
type Token struct {
	User  chat.UserID
	Token string
}

// Bounds on a run.
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
		return fmt.Errorf("--url is %q, but must be like http://127.0.0.1:8080", p.URL)
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
			return fmt.Errorf("--%s is %v, but must be from %v to %v", b.flag, b.value, b.low, b.high)
		}
	}
	p.Size = max(p.Size, minSize)
	if p.Every == 0 {
		p.Every = min(max((p.Duration/ticksWanted).Round(50*time.Millisecond), 100*time.Millisecond), time.Second)
	}
	if s.talks && p.Senders == 0 {
		return errors.New("--senders is 0, and then nobody sends")
	}
	return nil
}

// channel is where the socket number i belongs.
func (p *Plan) channel(i int) int { return i / p.ChannelSize }

// channelCount is how many channels the sockets need.
func (p *Plan) channelCount() int { return (p.Sockets + p.ChannelSize - 1) / p.ChannelSize }

// sends reports whether the socket number i is a sender, and the how-manieth of
// all it is.
func (p *Plan) sends(i int) (nth int, ok bool) {
	place := i % p.ChannelSize
	return p.channel(i)*p.Senders + place, place < p.Senders
}

// senders is how many sockets send.
func (p *Plan) senders() int {
	whole := p.Sockets / p.ChannelSize
	return whole*p.Senders + min(p.Sockets-whole*p.ChannelSize, p.Senders)
}

// isSlow reports whether the socket number i is one that stops reading: those are
// the last ones, and never senders as long as there are others.
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

// share gives a worker its part of the sockets.
func (p Plan) share(worker, workers int) Plan {
	p.First = p.Sockets * worker / workers
	p.Count = p.Sockets*(worker+1)/workers - p.First
	return p
}

// ParseTokens reads a file of tokens: a user id and a token on each line.
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
