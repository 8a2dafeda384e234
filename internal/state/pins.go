package state

import (
	"strconv"

	"github.com/chowk-chat/chowk/chat"
)

var errPins = chat.Errorf(chat.Conflict,
	"This channel already has the maximum of "+strconv.Itoa(chat.MaxPins)+" pinned messages. Unpin one first.")

// setPinned returns the function that pins or unpins a message.
func setPinned(pinned bool, event chat.EventType) func(*Group, *Change, *target) (*chat.Entry, error) {
	return func(g *Group, c *Change, t *target) (*chat.Entry, error) {
		m, pins := t.message, g.Pins[t.channel.ID]
		switch {
		case m.IsPinned == pinned:
			return nil, nil
		case pinned && pins >= chat.MaxPins:
			return nil, errPins
		case pinned:
			g.Pins[t.channel.ID] = pins + 1
		default:
			g.Pins[t.channel.ID] = pins - 1
		}
		m.IsPinned = pinned
		g.touchMessage(m)
		e := g.entry(c, t.channel, event)
		e.MessageID = m.ID
		return e, nil
	}
}
