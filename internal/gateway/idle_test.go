package gateway

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// maxIdleSize is the size of an idle socket with its user, without its subscriptions.
// It is a size class of Go's allocator.
const maxIdleSize = 288

func TestIdleSocketIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > maxIdleSize {
		t.Errorf("an idle socket has %d bytes (netpoll.Conn %d, hub.Socket %d), want at most %d",
			n, unsafe.Sizeof(netpoll.Conn{}), unsafe.Sizeof(hub.Socket{}), maxIdleSize)
	}
}

// allowedPointers are the pointers of an idle socket and the reason why what they
// point to does not grow with it: it is shared, or the pointer is nil while it is idle.
var allowedPointers = map[string]string{
	"session.gateway":       "shared by all sockets",
	"session.partial.state": "nil while nothing is partly received",
	"Conn.handler":          "the session",
	"Conn.link":             "the loop, shared by all sockets, or the goroutine's connection",
	"Conn.pendingState":     "nil while the socket is open and its peer reads",
	"Socket.hub":            "shared by all sockets",
	"Socket.conn":           "the session",
	"Socket.user":           "shared by the user's sockets",
	"Socket.block.first":    "the subscriptions, one for each channel",
	"Socket.self.id":        "the user's id, which is short",
	"Socket.self.first":     "the socket itself",
	"Socket.self.extra":     "nil while the user has one socket and no one watches them",
	"Socket.extra":          "nil while the socket watches no one and no channel was added",
}

func TestIdleSocketHoldsNothingThatGrows(t *testing.T) {
	checkPointers(t, "session", reflect.TypeFor[session]())
	var p frame.Parser
	if p.Pending() || p.Size() != 0 {
		t.Errorf("an unused parser holds %d bytes, want none", p.Size())
	}
}

func checkPointers(t *testing.T, path string, typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Struct:
		if typ == reflect.TypeFor[netpoll.Conn]() || typ == reflect.TypeFor[hub.Socket]() {
			path = typ.Name()
		}
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Name != "_" {
				checkPointers(t, path+"."+f.Name, f.Type)
			}
		}
	case reflect.Array:
		checkPointers(t, path+"[]", typ.Elem())
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.String,
		reflect.UnsafePointer:
		if allowedPointers[path] == "" {
			t.Errorf("an idle socket holds %s, a %s: explain in allowedPointers why it does not grow", path, typ)
		}
	}
}
