package hub

import "github.com/chowk-chat/chowk/internal/hub/internal/compact"

// subscription is one socket's cursor in one channel. It does not name its socket:
// the socket knows its subscriptions, and the channel its listeners. A node has more
// subscriptions than anything else, so a test bounds their size.
//
// The channel's mu guards a subscription, except for methods that need no lock
// according to compact.Cursor.
type subscription struct {
	channel *channel // nil while the subscription is not used
	compact.Cursor[servingState]
}

// servingState is the part of the hub that serves a subscription.
type servingState uint8

const (
	opening      servingState = iota // none: the socket has not been sent its connection frame
	live                             // the fan-out
	behind                           // the readers, until it has caught up
	unsubscribed                     // none: the client left the channel
)

// isServed reports whether the fan-out serves the subscription.
func (sub *subscription) isServed() bool { return sub.State() == live && !sub.Held() }

// isListening reports whether the subscription is among its channel's listeners.
func (sub *subscription) isListening() bool { return sub.Index() >= 0 }

// listener is a subscription with its socket.
type listener struct {
	*subscription
	socket *Socket
}
