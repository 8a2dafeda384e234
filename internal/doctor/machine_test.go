package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
)

func TestBrokenMachines(t *testing.T) {
	s := healthy(t, sqlite(t))
	few := s
	few.Machine.Descriptors, few.SocketsWanted = 1024, 10_000
	expect(t, few, "sockets", Failure, "824", "open files", "10000")
	small := s
	small.Machine.MemoryFree, small.SocketsWanted = 64<<20, 10_000
	expect(t, small, "sockets", Failure, "memory")
	tracked := s
	tracked.Machine.Connections, tracked.Machine.ConnectionsUsed = 65_536, 65_000
	expect(t, tracked, "sockets", Warning, "536", "tracked addresses")
	tight := s
	tight.Machine.Backlog = 128
	expect(t, tight, "backlog", Warning, "128")
	if m := ThisMachine(); m.Descriptors == 0 {
		t.Errorf("%+v", m)
	}
}

// pair writes a certificate that is valid for a period, and its key.
func pair(t *testing.T, from, to time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"chat.example.org"}, NotBefore: from, NotAfter: to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestCertificates(t *testing.T) {
	s := healthy(t, sqlite(t))
	day := 24 * time.Hour
	now := time.Now()
	s.CertFile, s.KeyFile = pair(t, now.Add(-day), now.Add(60*day))
	if bad := findings(t, s); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
	other := s
	_, other.KeyFile = pair(t, now.Add(-day), now.Add(60*day))
	expect(t, other, "certificate", Failure, "private key does not match")
	s.CertFile, s.KeyFile = pair(t, now.Add(-60*day), now.Add(-day))
	expect(t, s, "certificate", Failure, "expired")
	s.CertFile, s.KeyFile = pair(t, now.Add(-60*day), now.Add(5*day))
	expect(t, s, "certificate", Warning, "valid until")
	s.CertFile, s.KeyFile = pair(t, now.Add(day), now.Add(60*day))
	expect(t, s, "certificate", Failure, "not valid before")
}

// TestProxies: one that keeps an idle socket open, one that cuts it, one that does not
// forward the upgrade, and one that requires a token.
func TestProxies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{chat.Protocol}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		_, _, _ = c.Read(r.Context())
	}))
	defer server.Close()
	s := healthy(t, sqlite(t))
	s.Probe = Probe{URL: "ws" + strings.TrimPrefix(server.URL, "http"), Token: "good", For: 300 * time.Millisecond}
	if bad := findings(t, s); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
	unknown := s
	unknown.Probe.Token = ""
	expect(t, unknown, "proxy", Warning, "no token")

	impatient := s
	impatient.Probe.URL, impatient.Probe.For = "ws://"+cutter(t, server.Listener.Addr().String()), time.Minute
	expect(t, impatient, "proxy", Failure, "idle socket was cut after")

	plain := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
	)
	defer plain.Close()
	broken := s
	broken.Probe.URL = "ws" + strings.TrimPrefix(plain.URL, "http")
	expect(t, broken, "proxy", Failure, "does not reach chowk")
}

// cutter starts a proxy that closes connections which are idle for a moment.
func cutter(t *testing.T, to string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	pipe := func(a, b net.Conn) {
		defer a.Close()
		defer b.Close()
		buf := make([]byte, 4096)
		for {
			_ = a.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			n, err := a.Read(buf)
			if err != nil {
				return
			}
			if _, err := b.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
			if err != nil {
				_ = a.Close()
				return
			}
			go pipe(a, b)
			go pipe(b, a)
		}
	}()
	return l.Addr().String()
}
