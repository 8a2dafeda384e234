package main

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// bare is the baseline: after the handshake only descriptors, and a loop of write(2)
// with the same bytes. It does not read what the peers send.
type bare struct {
	mu  sync.Mutex
	fds map[string][]int
}

func newBare() (peer, error) {
	b := &bare{fds: make(map[string][]int)}
	return peer{socket: b, publish: b.publish}, nil
}

func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	_, _ = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			b.mu.Lock()
			b.fds[groupOf(r)] = append(b.fds[groupOf(r)], dup)
			b.mu.Unlock()
		}
	})
}

func (b *bare) publish(group string, payload []byte) error {
	f := text(payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fd := range b.fds[group] {
		for rest := f; len(rest) > 0; {
			n, err := syscall.Write(fd, rest)
			if err == syscall.EAGAIN {
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
				continue
			}
			if err != nil {
				break
			}
			rest = rest[n:]
		}
	}
	return nil
}
