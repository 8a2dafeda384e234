package gateway

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// idleBudget is what an idle socket takes besides its cursors and with its user, in
// one piece of the allocator's.
const idleBudget = 288

func TestAnIdleSocketIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > idleBudget {
		t.Errorf("an idle socket takes %d bytes, of which netpoll.Conn has %d and hub.Socket %d; it may take %d",
			n, unsafe.Sizeof(netpoll.Conn{}), unsafe.Sizeof(hub.Socket{}), idleBudget)
	}
}

// mayPoint are the pointers that an idle socket has to what is not its own, or is
// nil while it is idle, with the reason.
var mayPoint = map[string]string{
	"session.gateway":       "everybody's",
	"session.partial.state": "nil while nothing is partly received",
	"Conn.handler":          "the session",
	"Conn.link":             "the loop, which is everybody's, or the goroutine's connection",
	"Conn.pendingState":     "nil while it is open and the peer takes everything",
	"Socket.hub":            "everybody's",
	"Socket.conn":           "the session",
	"Socket.user":           "the user's, whom his sockets share",
	"Socket.block.first":    "the subscriptions, one for each channel",
	"Socket.self.id":        "the user's, short",
	"Socket.self.first":     "the socket itself",
	"Socket.self.extra":     "nil while the user has one socket and nobody watches him",
	"Socket.extra":          "nil while nobody is watched, and no channel came later",
}

func TestAnIdleSocketHoldsNothingThatGrows(t *testing.T) {
	lookInto(t, "session", reflect.TypeFor[session]())
	var p frame.Parser
	if p.Pending() || p.Size() != 0 {
		t.Error("a parser of nothing holds something")
	}
}

func lookInto(t *testing.T, path string, typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Struct:
		if typ == reflect.TypeFor[netpoll.Conn]() || typ == reflect.TypeFor[hub.Socket]() {
			path = typ.Name()
		}
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Name != "_" {
				lookInto(t, path+"."+f.Name, f.Type)
			}
		}
	case reflect.Array:
		lookInto(t, path+"[]", typ.Elem())
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.String, reflect.UnsafePointer:
		if mayPoint[path] == "" {
			t.Errorf("an idle socket holds %s, a %s: say in mayPoint why it does not grow", path, typ)
		}
	}
}
