package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestSlowHandshakesTimeOut: a client that sends a byte now and then holds a
// connection for as long as a header may take, and others do not notice.
func TestSlowHandshakesTimeOut(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	var slow []net.Conn
	for range 50 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		slow = append(slow, conn)
	}
	request := "GET /api/v1/ws/ann HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	for i := range 20 {
		for _, conn := range slow {
			if _, err := conn.Write([]byte{request[i]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.dial("bob")
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(waitTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a handshake that never ends is waited for")
		}
	}
}

// TestFileDescriptorExhaustion: clients that open connections and say nothing may take all
// that there are, and what runs goes on.
func TestFileDescriptorExhaustion(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no such limit")
	}
	t.Parallel()
	few := []string{"sh", "-c", `ulimit -n 300 && exec "$0" "$@"`}
	s := serveThrough(t, few, "auth=none", "log.level=debug")
	ada := s.dial("ada")
	var taken []net.Conn
	for range 400 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, conn)
	}
	for range 20 {
		if status, _ := s.readiness(); status != http.StatusOK {
			t.Errorf("/readyz says %d", status)
		}
		ada.exchange("ping", nil, true)
	}
	if text := s.Log.Text(); strings.Contains(text, "too many open files") {
		t.Error("it ran out of descriptors")
	}
	for _, conn := range taken {
		_ = conn.Close()
	}
	s.dial("bob")
}
