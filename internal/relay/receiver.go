package relay

import (
	"context"

	"github.com/nats-io/nats.go"
)

// maxInbox bounds the messages that wait to be processed.
const maxInbox = 16_384

// Reasons why entries may be missing here, as in State.Why.
const (
	lostSlow      = "messages arrived faster than they could be processed"
	lostUnknown   = "messages from other nodes were not understood"
	lostBySender  = "a node could not send everything"
	lostBeats     = "messages from a node were lost"
	lostJoins     = "new members could not be read from the database"
	lostLink      = "the connection to NATS was lost"
	lostUntilLink = "the connection to NATS is new"
	lostUntilPeer = "a node has joined"
)

// lostFunc notes that messages from other nodes were lost, for one of the reasons above.
type lostFunc func(why string)

// handler processes a message. It never blocks, and reports false for a malformed body.
type handler func(h header, body []byte) bool

// decoded returns a handler for messages with a body.
func decoded[T any](handle func(h header, note T) bool) handler {
	return func(h header, body []byte) bool {
		note, ok := read[T](body)
		return ok && handle(h, note)
	}
}

// receiver processes messages of other nodes in the order in which they arrive.
type receiver struct {
	env
	in       chan *nats.Msg
	handlers map[kind]handler
	lost     lostFunc
}

// run works until ctx ends.
func (r *receiver) run(ctx context.Context) {
	for {
		select {
		case m := <-r.in:
			r.receive(m.Data)
		case <-ctx.Done():
			return
		}
	}
}

func (r *receiver) receive(m []byte) {
	h, body, why := split(m)
	if why == "" && !r.handlers[h.kind](h, body) {
		why = ignoredMalformed
	}
	if why != "" {
		r.metrics.Ignored.WithLabelValues(string(why)).Inc()
		r.lost(lostUnknown)
		return
	}
	r.metrics.Received.WithLabelValues(kindNames[h.kind]).Inc()
}
