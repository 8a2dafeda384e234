package chowk_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestServe answers on both listeners until its context ends, and leaves nothing behind.
func TestServe(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := open(t, func(c *chowk.Config) { c.Canary.Interval = 50 * time.Millisecond })
	public, operations := listen(t), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, public, operations) }()

	if status, body := get(t, "http://"+public.Addr().String()+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz answers %d %s, want 200", status, body)
	}
	canary := func() bool {
		_, metrics := get(t, "http://"+operations.Addr().String()+"/metrics")
		return strings.Contains(metrics, "chowk_canary_ok 1\n")
	}
	for deadline := time.Now().Add(20 * time.Second); !canary(); {
		if time.Now().After(deadline) {
			t.Fatal("no test message came back")
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestServeEnds when its listener fails, and when the server is closed.
func TestServeEnds(t *testing.T) {
	s := open(t)
	public := listen(t)
	public.Close()
	if err := s.Serve(t.Context(), public, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got error %v of a closed listener, want %v", err, net.ErrClosed)
	}

	s = open(t)
	public = listen(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context(), public, nil) }()
	get(t, "http://"+public.Addr().String()+"/healthz")
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve after close: %v", err)
	}
}

func TestACertificateThatIsMissingStopsTheStart(t *testing.T) {
	const want = "load the certificate of tls.cert-file and tls.key-file: open no-such-file.pem"
	_, err := chowk.Open(t.Context(), chowk.Config{
		DataDir: t.TempDir(), TLS: chowk.TLSConfig{CertFile: "no-such-file.pem", KeyFile: "no-such-key.pem"},
	})
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got error %v, want %s", err, want)
	}
}
