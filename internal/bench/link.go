package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/frame"
)

// link is one connection of a socket. One goroutine reads from it; several may write.
type link struct {
	conn  net.Conn
	ready chan struct{} // closed when the server has accepted the socket
	gone  chan struct{} // closed when the connection has ended

	closing sync.Once
	closed  chan struct{} // closed when this side ends it
	slots   chan struct{} // holds one element for each request without an answer

	// writing is held while writing, so that pending is in the order of writing.
	writing sync.Mutex
	pong    atomic.Pointer[[]byte] // to be sent with the next write
	paused  atomic.Pointer[chan struct{}]

	mu      sync.Mutex // guards what follows
	pending []request
	oldest  atomic.Int64 // when the first of pending was due; 0 if there is none
}

// request is a command that was sent and has no answer yet.
type request struct {
	due  time.Time
	what command
}

// command is what a client sends.
type command byte

const (
	cmdMessage command = iota
	cmdTyping
	cmdReceipt
	cmdJoin
)

const (
	writeTimeout = 30 * time.Second
	readBuffer   = 4 << 10
	smallBuffer  = 4 << 10 // the kernel's, for a socket that is about to stop reading
	largeBuffer  = 1 << 20 // when it reads again
)

// serverLimits allow what a server may send: a connection frame with thousands of
// channels is long.
var serverLimits = frame.Limits{Frame: 16 << 20, Message: 16 << 20, Client: true}

func newLink(conn net.Conn, inFlight int) *link {
	return &link{
		conn: conn, ready: make(chan struct{}), gone: make(chan struct{}), closed: make(chan struct{}),
		slots: make(chan struct{}, inFlight),
	}
}

// isReady reports whether the server has accepted the socket.
func (l *link) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// close ends the connection from this side without a close frame.
func (l *link) close() {
	l.closing.Do(func() {
		close(l.closed)
		_ = l.conn.Close()
	})
}

func (l *link) isClosing() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// pause makes the reader stop; unpause lets it continue.
func (l *link) pause() {
	if tcp, ok := l.conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(smallBuffer) // it only shortens the experiment
	}
	gate := make(chan struct{})
	if l.paused.CompareAndSwap(nil, &gate) {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	}
}

func (l *link) unpause() {
	if gate := l.paused.Swap(nil); gate != nil {
		if tcp, ok := l.conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(largeBuffer)
		}
		close(*gate)
	}
}

// read passes every message to take until the connection ends. why is "" if this side
// ended it.
func (l *link) read(rest []byte, take func(n int, m frame.Message)) (why string) {
	p := frame.Parser{Limits: &serverLimits}
	why, end := l.parse(&p, rest, take)
	buf := make([]byte, readBuffer)
	for !end {
		n, err := l.conn.Read(buf)
		if n > 0 {
			if why, end = l.parse(&p, buf[:n], take); end {
				break
			}
		}
		if gate := l.paused.Load(); gate != nil {
			select {
			case <-*gate:
			case <-l.closed:
			}
		}
		if err == nil {
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !l.isClosing() {
			err = l.conn.SetReadDeadline(time.Time{})
		}
		if err != nil {
			why, end = "cut off", true
		}
	}
	if l.isClosing() {
		why = ""
	}
	l.close()
	return why
}

func (l *link) parse(p *frame.Parser, b []byte, take func(int, frame.Message)) (why string, end bool) {
	for len(b) > 0 {
		n, m, err := p.Next(b)
		if err != nil {
			return "broken frame", true
		}
		b = b[n:]
		switch m.Opcode {
		case frame.OpNone:
		case frame.OpPing:
			l.answerPing(m.Payload)
		case frame.OpClose:
			return fmt.Sprintf("close %d", m.Code), true
		default:
			take(len(m.Payload), m)
		}
	}
	return "", false
}

// answerPing writes a pong, or leaves it to the goroutine that is writing.
func (l *link) answerPing(payload []byte) {
	b := frame.AppendMasked(nil, frame.OpPong, payload, newKey())
	l.pong.Store(&b)
	l.flushPong()
}

func (l *link) flushPong() {
	for l.pong.Load() != nil && l.writing.TryLock() {
		if b := l.pong.Swap(nil); b != nil {
			l.writeLocked(*b)
		}
		l.writing.Unlock()
	}
}

// send writes a frame that the server answers.
func (l *link) send(q request, b []byte) {
	l.writing.Lock()
	l.mu.Lock()
	l.pending = append(l.pending, q)
	l.oldest.CompareAndSwap(0, q.due.UnixNano())
	l.mu.Unlock()
	l.writeLocked(b)
	l.writing.Unlock()
	l.flushPong()
}

func (l *link) writeLocked(b []byte) {
	err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = l.conn.Write(b)
	}
	if err != nil {
		_ = l.conn.Close() // the reader notices
	}
}

// nextPending removes and returns the oldest request: servers answer in order.
func (l *link) nextPending() (q request, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return q, false
	}
	q = l.pending[0]
	l.pending = l.pending[1:]
	next := int64(0)
	if len(l.pending) > 0 {
		next = l.pending[0].due.UnixNano()
	}
	l.oldest.Store(next)
	return q, true
}

// dropPending removes all requests after the connection has ended, and returns their
// number.
func (l *link) dropPending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.pending)
	l.pending = nil
	l.oldest.Store(0)
	return n
}

func newKey() (key [4]byte) {
	k := rand.Uint32()
	return [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)}
}
