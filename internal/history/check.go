package history

import (
	"fmt"
	"math"

	"github.com/chowk-chat/chowk/chat"
)

// Rule is one guarantee.
type Rule string

// The rules.
const (
	Acknowledged  Rule = "D1" // what was acknowledged is stored, at that seq, with that content
	SameAck       Rule = "D2" // a message is acknowledged with one seq, however often
	Gapless       Rule = "G1" // a log is 1, 2, 3 … without a gap
	OnceStored    Rule = "G2" // a message is stored once
	RealTime      Rule = "O1" // a change requested after an ack comes after the acknowledged change
	Existing      Rule = "P1" // what is received is stored
	Agreed        Rule = "P2" // all clients receive the same entry at a seq
	Genuine       Rule = "P3" // what is received is what is stored, and was sent by a client
	NoGap         Rule = "X1" // the application receives no gap
	NoRepeat      Rule = "X2" // the application receives nothing twice
	Complete      Rule = "X3" // at the end, the application has everything
	CursorBehind  Rule = "R2" // a client resumes from what its application has received
	Refusal       Rule = "F1" // what was refused is not stored
	Removal       Rule = "S1" // nothing is delivered outside of a membership
	EpochReported Rule = "E1" // clients are notified of another history if it affects them, and only then
	Resolved      Rule = "U1" // every attempt ends with an answer
)

// Rules lists all rules.
var Rules = []Rule{
	Acknowledged, SameAck, Gapless, OnceStored, RealTime, Existing, Agreed, Genuine,
	NoGap, NoRepeat, Complete, CursorBehind, Refusal, Removal, EpochReported, Resolved,
}

// Violation is a broken rule, with the number of cases and the first one.
type Violation struct {
	Rule  Rule
	Count int
	First string
}

func (v Violation) String() string { return fmt.Sprintf("%s (%d times): %s", v.Rule, v.Count, v.First) }

// entry is one entry of a channel's log.
type entry struct {
	stored  bool
	what    What
	user    uint32
	id      chat.ID
	seen    bool // by a client, as seenID
	seenAs  What
	seenID  chat.ID
	ackedAt int64
}

// span is a membership: the member may see the entries from..to.
type span struct{ from, to chat.Seq }

type spans []span

func (s spans) hold(seq chat.Seq) bool {
	for _, sp := range s {
		if sp.from <= seq && seq <= sp.to {
			return true
		}
	}
	return false
}

// begin reports whether a membership begins with the entry.
func (s spans) begin(seq chat.Seq) bool {
	for _, sp := range s {
		if sp.from == seq {
			return true
		}
	}
	return false
}

// channel is a channel's log and its members.
type channel struct {
	log      []entry // at seq-1
	members  map[uint32]*spans
	maxAcked chat.Seq
}

// attempt is a requested change.
type attempt struct {
	invoked, acked, refused bool
	stored                  bool
	channel                 uint32
	seq                     chat.Seq // as stored, or as acknowledged
	ackSeq                  chat.Seq
	after                   chat.Seq // the highest seq acknowledged at the time of the request
}

// view is one session's view of one channel.
type view struct {
	channel    uint32
	members    *spans
	in         bool
	delivered  chat.Seq
	raw        chat.Seq // the highest seq received
	resumed    chat.Seq
	owesResync bool // another history was seen, and no resync of this channel yet
}

type session struct {
	epoch chat.ID
	views []*view
	ended bool
}

// checker is one pass over a history.
type checker struct {
	h        *History
	channels []channel
	attempts map[chat.ID]*attempt
	sessions []session
	views    map[uint64]*view
	broken   map[Rule]*Violation
	report   Report
	timing   timing
}

// Check checks a history in one pass.
func Check(h *History) *Report {
	c := &checker{
		h: h, channels: make([]channel, len(h.Channels)), sessions: make([]session, len(h.Names)),
		attempts: make(map[chat.ID]*attempt, len(h.Records)/16), views: make(map[uint64]*view),
		broken: make(map[Rule]*Violation),
	}
	for i := range c.channels {
		c.channels[i].members = make(map[uint32]*spans)
	}
	for i := range h.Records {
		c.step(&h.Records[i])
	}
	c.finish()
	c.report.Records = len(h.Records)
	for _, rule := range Rules {
		if v := c.broken[rule]; v != nil {
			c.report.Violations = append(c.report.Violations, *v)
		}
	}
	c.timing.fill(&c.report)
	return &c.report
}

func (c *checker) violate(rule Rule, format string, args ...any) {
	v := c.broken[rule]
	if v == nil {
		v = &Violation{Rule: rule, First: fmt.Sprintf(format, args...)}
		c.broken[rule] = v
	}
	v.Count++
}

func (c *checker) step(r *Record) {
	switch r.Kind {
	case Stored:
		c.store(r)
	case InitialMember:
		c.join(r.Channel, r.User, r.Seq)
	case Invoked, Acked, Refused, Unknown:
		c.answer(r)
	case Received:
		c.receive(r)
	case Delivered:
		c.deliver(r)
	case Began:
		v := c.view(r)
		v.in, v.delivered, v.raw = true, r.Seq, r.Seq
	case Resumed:
		v := c.view(r)
		v.resumed = max(v.resumed, r.Seq)
	case Connected:
		c.connect(r)
	case Resyncs:
		c.resync(r)
	case MembershipEnded:
		v := c.view(r)
		v.in, v.owesResync, v.resumed = false, false, 0
	case Barrier:
		c.sessions[r.Session].ended = true
	case CaughtUp, FaultBegins, FaultEnds:
		c.timing.mark(r)
	}
}

func (c *checker) name(channel uint32) string { return c.h.Channels[channel].String() }
func (c *checker) user(i uint32) chat.UserID  { return c.h.Names[i] }

// store handles an entry of the database. They come in the order of their seqs.
func (c *checker) store(r *Record) {
	ch := &c.channels[r.Channel]
	if want := chat.Seq(len(ch.log)) + 1; r.Seq != want {
		if r.Seq < want {
			c.violate(Gapless, "channel %s: seq %d is stored twice", c.name(r.Channel), r.Seq)
			return
		}
		c.violate(Gapless, "channel %s: seq %d is followed by %d", c.name(r.Channel), want-1, r.Seq)
		ch.log = append(ch.log, make([]entry, r.Seq-want)...)
	}
	ch.log = append(ch.log, entry{stored: true, what: r.What, user: r.User, id: r.ID})
	c.report.Stored++
	switch r.What {
	case Message:
		c.storeMessage(r)
	case Join:
		c.join(r.Channel, r.User, r.Seq)
	case Leave:
		c.leave(r.Channel, r.User, r.Seq)
	}
}

func (c *checker) storeMessage(r *Record) {
	a := c.attempt(r.ID)
	if a.stored {
		c.violate(OnceStored, "message %s is stored at seq %d of channel %s and at %d of %s", r.ID, a.seq, c.name(a.channel),
			r.Seq, c.name(r.Channel))
		return
	}
	a.stored, a.seq, a.channel = true, r.Seq, r.Channel
}

func (c *checker) attempt(id chat.ID) *attempt {
	a := c.attempts[id]
	if a == nil {
		a = new(attempt)
		c.attempts[id] = a
	}
	return a
}

func (c *checker) spans(channel, user uint32) *spans {
	s := c.channels[channel].members[user]
	if s == nil {
		s = new(spans)
		c.channels[channel].members[user] = s
	}
	return s
}

func (c *checker) join(channel, user uint32, seq chat.Seq) {
	s := c.spans(channel, user)
	*s = append(*s, span{seq, math.MaxInt64})
}

func (c *checker) leave(channel, user uint32, seq chat.Seq) {
	if s := *c.spans(channel, user); len(s) > 0 {
		s[len(s)-1].to = seq
	}
}

// answer handles a request and its answers.
func (c *checker) answer(r *Record) {
	a := c.attempt(r.ID)
	ch := &c.channels[r.Channel]
	switch r.Kind {
	case Invoked:
		if !a.invoked {
			a.invoked, a.after = true, ch.maxAcked
			c.report.Invoked++
		}
	case Refused:
		a.refused = true
		c.report.Refused++
		if r.Flags&FlagSend != 0 && a.stored {
			c.violate(Refusal, "message %s of %s was refused and is stored at seq %d of channel %s", r.ID, c.user(r.Session),
				a.seq, c.name(a.channel))
		}
	case Unknown:
		c.report.Unknown++
	case Acked:
		c.ack(r, a, ch)
	}
}

func (c *checker) ack(r *Record, a *attempt, ch *channel) {
	c.report.Acked++
	c.timing.acked(r)
	if r.Flags&FlagSend != 0 {
		c.report.Messages++
	}
	if a.acked && a.ackSeq != r.Seq {
		c.violate(SameAck, "message %s was acknowledged with seq %d and with seq %d", r.ID, a.ackSeq, r.Seq)
	}
	a.acked, a.ackSeq = true, r.Seq
	if r.Seq == 0 { // there was nothing to do
		return
	}
	if r.Seq <= a.after {
		c.violate(RealTime, "channel %s: seq %d was acknowledged before %s requested what became seq %d", c.name(r.Channel),
			a.after, c.user(r.Session), r.Seq)
	}
	ch.maxAcked = max(ch.maxAcked, r.Seq)
	e := ch.at(r.Seq)
	if e == nil || !e.stored {
		c.violate(Acknowledged, "channel %s: seq %d was acknowledged to %s and is not stored", c.name(r.Channel), r.Seq,
			c.user(r.Session))
		return
	}
	if e.what != r.What || e.user != r.Session || r.Flags&FlagSend != 0 && e.id != r.ID {
		c.violate(Acknowledged, "channel %s: seq %d was acknowledged to %s for a %s %s, but a %s %s of %s is stored there",
			c.name(r.Channel), r.Seq, c.user(r.Session), r.What, r.ID, e.what, e.id, c.user(e.user))
	}
	e.ackedAt = r.At
}

func (ch *channel) at(seq chat.Seq) *entry {
	if seq < 1 || seq > chat.Seq(len(ch.log)) {
		return nil
	}
	return &ch.log[seq-1]
}

// finish checks what has to be true at the end.
func (c *checker) finish() {
	for id, a := range c.attempts {
		switch {
		case a.invoked && !a.acked && !a.refused:
			c.violate(Resolved, "attempt %s has no answer", id)
		case a.stored && !a.invoked:
			c.violate(Genuine, "message %s at seq %d of channel %s is stored, but no client sent it", id, a.seq,
				c.name(a.channel))
		}
	}
	for i := range c.channels {
		for user, members := range c.channels[i].members {
			if c.sessions[user].ended && len(*members) > 0 && (*members)[len(*members)-1].to == math.MaxInt64 {
				c.complete(uint32(i), user)
			}
		}
	}
	for i := range c.sessions {
		for _, v := range c.sessions[i].views {
			if !c.sessions[i].ended || !v.in {
				continue
			}
			if v.owesResync {
				c.violate(EpochReported, "%s was never notified of another history of channel %s",
					c.user(uint32(i)), c.name(v.channel))
			}
			if v.resumed > v.delivered {
				c.violate(CursorBehind, "%s resumed from seq %d of channel %s, but had received %d", c.user(uint32(i)), v.resumed,
					c.name(v.channel), v.delivered)
			}
		}
	}
}

// complete checks that a member has received everything.
func (c *checker) complete(channel, user uint32) {
	head := chat.Seq(len(c.channels[channel].log))
	v := c.views[uint64(user)<<32|uint64(channel)]
	if v == nil || !v.in {
		c.violate(Complete, "%s is a member of channel %s and received nothing of it", c.user(user), c.name(channel))
	} else if v.delivered < head {
		c.violate(Complete, "%s received channel %s up to %d of %d", c.user(user), c.name(channel), v.delivered, head)
	}
}
