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

// TestSlowHandshakesTimeOut opens connections whose request arrives byte by byte: the
// server closes them after its time limit, and other clients can connect meanwhile.
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
			t.Fatal("the server did not close an incomplete handshake")
		}
	}
}

// TestFileDescriptorExhaustion opens more idle connections than the server may have
// descriptors; existing sockets continue to work.
func TestFileDescriptorExhaustion(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such limit")
	}
	t.Parallel()
	limited := []string{"sh", "-c", `ulimit -n 300 && exec "$0" "$@"`}
	s := serveThrough(t, limited, "auth=none", "log.level=debug")
	ada := s.dial("ada")
	var idle []net.Conn
	for range 400 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	for range 20 {
		if status, _ := s.readiness(); status != http.StatusOK {
			t.Errorf("/readyz: status %d, want 200", status)
		}
		ada.exchange("ping", nil, true)
	}
	if text := s.Log.Text(); strings.Contains(text, "too many open files") {
		t.Error("the server ran out of descriptors")
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	s.dial("bob")
}
