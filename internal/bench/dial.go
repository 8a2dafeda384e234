package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// dialTimeout bounds a handshake, up to the response to the upgrade.
const dialTimeout = 30 * time.Second

// errRefused is a handshake that was answered by something other than an upgrade.
type errRefused struct {
	status int
	after  time.Duration // when to try again; 0 if the server did not say
}

func (e *errRefused) Error() string {
	return "the server answered the handshake with " + strconv.Itoa(e.status)
}

// handshake opens a WebSocket and returns the bytes that followed the response. resume
// is a compact resume, or empty.
func (p *Plan) handshake(ctx context.Context, i int, resume string) (net.Conn, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := p.connect(ctx, i)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	rest, err := p.upgrade(nc, i, resume)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		forget(nc)
		return nil, nil, errors.Join(err, nc.Close())
	}
	return nc, rest, nil
}

// forget makes a close send a reset. The side that closes in order keeps its port in
// use for a minute; after a few thousand of them the kernel has to search for free
// ones.
func forget(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then it closes in order
	}
}

func (p *Plan) connect(ctx context.Context, i int) (net.Conn, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAlive: -1}
	if len(p.Sources) > 0 {
		d.Control = bindLate
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.Sources[i%len(p.Sources)])}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	if u.Scheme == "https" {
		return (&tls.Dialer{NetDialer: &d, Config: &tls.Config{NextProtos: []string{"http/1.1"}}}).
			DialContext(ctx, "tcp", address)
	}
	return d.DialContext(ctx, "tcp", address)
}

// readers are for the responses of handshakes; sockets do not keep them.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

func (p *Plan) upgrade(nc net.Conn, i int, resume string) (rest []byte, err error) {
	var random [16]byte
	rand.Read(random[:])
	key := base64.StdEncoding.EncodeToString(random[:])
	if err := p.ask(nc, i, key, resume); err != nil {
		return nil, err
	}
	r := readers.Get().(*bufio.Reader)
	defer readers.Put(r)
	r.Reset(nc)
	defer r.Reset(nil)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, fmt.Errorf("read the response to the handshake: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // not a number of seconds
		return nil, &errRefused{resp.StatusCode, time.Duration(min(max(after, 0), 3600)) * time.Second}
	}
	if sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")); resp.Header.Get(
		"Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, errors.New("the response to the handshake does not match its key")
	}
	rest = make([]byte, r.Buffered())
	_, err = io.ReadFull(r, rest)
	return rest, err
}

// ask writes the request.
func (p *Plan) ask(nc net.Conn, i int, key, resume string) error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return err
	}
	token, err := p.token(i)
	if err != nil {
		return err
	}
	b := fmt.Appendf(nil, "GET /api/v1/ws/%s", url.PathEscape(string(p.user(i))))
	if resume != "" {
		b = fmt.Appendf(b, "?resume=%s", url.QueryEscape(resume))
	}
	b = fmt.Appendf(b, " HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", u.Host, key)
	if !p.Old {
		b = fmt.Appendf(b, "Sec-WebSocket-Protocol: %s\r\n", chat.Protocol)
	}
	if token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", token)
	}
	_, err = nc.Write(append(b, "\r\n"...))
	return err
}
