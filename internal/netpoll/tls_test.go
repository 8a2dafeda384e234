package netpoll_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
)

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	t.Run("with Records", func(t *testing.T) { testTLS(t, netpoll.Records) })
	t.Run("without Records", func(t *testing.T) {
		testTLS(t, func(l net.Listener) net.Listener { return l })
	})
}

// Whatever records the data is in, all of it is delivered without further data from the
// peer.
func testTLS(t *testing.T, wrap func(net.Listener) net.Listener) {
	accepted, wire := connectTLS(t, wrap)
	client := tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
	r := newRecorder()
	c, err := newPoller(t, netpoll.Options{}).Add(accepted, nil, r)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	send := func(b []byte) {
		t.Helper()
		sent += len(b)
		write(t, client, string(b))
	}
	received := func(what string) {
		t.Helper()
		r.wait(t, what, func() bool { return r.size == sent })
	}
	send([]byte("hello"))
	received("a record")
	for range 20 {
		send([]byte("x"))
	}
	received("records of one byte")
	wire.hold = true
	for range 10 {
		send(bytes.Repeat([]byte("y"), 3000))
	}
	wire.release(t)
	received("records that arrive together")
	send(make([]byte, 100_000))
	received("many full records")
	if !c.Write([]byte("hello")) {
		t.Error("a write was refused")
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "hello" {
		t.Errorf("the peer read %q, %v, want hello", b, err)
	}
	_ = wire.Close()
	r.waitClosed(t, nil)
}

// connectTLS returns a TLS connection that was accepted, and the peer's connection below
// TLS.
func connectTLS(t *testing.T, wrap func(net.Listener) net.Listener) (accepted net.Conn, wire *holdingConn) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(wrap(plain), &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	defer l.Close()
	dialed, err := net.Dial("tcp", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close() })
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return accepted, &holdingConn{Conn: dialed}
}

// holdingConn can hold what is written, to send all of it together.
type holdingConn struct {
	net.Conn
	hold bool
	held []byte
}

func (c *holdingConn) Write(b []byte) (int, error) {
	if !c.hold {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

func (c *holdingConn) release(t *testing.T) {
	t.Helper()
	c.hold = false
	write(t, c.Conn, string(c.held))
}
