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

// link is one connection of a socket. One goroutine reads it; whoever has
// something to say writes.
type link struct {
	conn  net.Conn
	ready chan struct{} // closed when the server has let the socket in
	gone  chan struct{} // closed when the connection has ended

	closing sync.Once
	closed  chan struct{} // closed when this side ends it
	slots   chan struct{} // holds one entry for each question without an answer

	// writing is held while writing; what is noted as asked is in the order of
	// writing.
	writing sync.Mutex
	pong    atomic.Pointer[[]byte] // owed by the next write
	paused  atomic.Pointer[chan struct{}]

	mu     sync.Mutex // guards what follows
	asked  []question
	oldest atomic.Int64 // when the first of asked was due; 0 when there is none
}

// question is an event that was sent and not answered yet.
type question struct {
	due  time.Time
	what event
}

// event is what a client sends.
type event byte

const (
	aMessage event = iota
	aTyping
	aReceipt
	aJoin
)

const (
	writeTimeout = 30 * time.Second
	readBuffer   = 4 << 10
	smallBuffer  = 4 << 10 // the kernel's, of a socket that is about to stop reading
	largeBuffer  = 1 << 20 // and when it reads again
)

// serverLimits let in what a server may send: a connection frame with thousands of
// channels is long.
var serverLimits = frame.Limits{Frame: 16 << 20, Message: 16 << 20, Client: true}

func newLink(conn net.Conn, inFlight int) *link {
	return &link{
		conn: conn, ready: make(chan struct{}), gone: make(chan struct{}), closed: make(chan struct{}),
		slots: make(chan struct{}, inFlight),
	}
}

// close ends the connection from this side, as a cable that is pulled does.
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

// pause makes the reader stop; unpause lets it go on.
func (l *link) pause() {
	if tcp, ok := l.conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(smallBuffer) // it only makes the experiment shorter
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

// read hands every message to take until the connection ends; why is "" when this
// side ended it.
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

// answerPing writes a pong, or leaves it to who is writing.
func (l *link) answerPing(payload []byte) {
	b := frame.AppendMasked(nil, frame.OpPong, payload, newKey())
	l.pong.Store(&b)
	l.payPong()
}

func (l *link) payPong() {
	for l.pong.Load() != nil && l.writing.TryLock() {
		if b := l.pong.Swap(nil); b != nil {
			l.writeLocked(*b)
		}
		l.writing.Unlock()
	}
}

// say writes a frame that asks something.
func (l *link) say(q question, b []byte) {
	l.writing.Lock()
	l.mu.Lock()
	l.asked = append(l.asked, q)
	l.oldest.CompareAndSwap(0, q.due.UnixNano())
	l.mu.Unlock()
	l.writeLocked(b)
	l.writing.Unlock()
	l.payPong()
}

func (l *link) writeLocked(b []byte) {
	err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = l.conn.Write(b)
	}
	if err != nil {
		_ = l.conn.Close() // the reader sees it
	}
}

// answered takes the question that an answer is to: servers answer in order.
func (l *link) answered() (q question, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) == 0 {
		return q, false
	}
	q = l.asked[0]
	l.asked = l.asked[1:]
	next := int64(0)
	if len(l.asked) > 0 {
		next = l.asked[0].due.UnixNano()
	}
	l.oldest.Store(next)
	return q, true
}

// abandoned are the questions left when the connection has ended.
func (l *link) abandoned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.asked)
	l.asked = nil
	l.oldest.Store(0)
	return n
}

func newKey() (key [4]byte) {
	k := rand.Uint32()
	return [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)}
}
