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
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestTLS: what is sent in one record, in many, and in one-byte records, and several
// records that come at once, is all told of without anything further being sent.
func TestTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	for name, wrap := range map[string]func(net.Listener) net.Listener{
		"waited for without a buffer": netpoll.Records,
		"with one":                    func(l net.Listener) net.Listener { return l },
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := tls.NewListener(wrap(plain), config)
			defer l.Close()
			dialed, err := net.Dial("tcp", plain.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer dialed.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			held := &delayed{Conn: dialed}
			client := tls.Client(held, &tls.Config{InsecureSkipVerify: true})
			o := newOwner()
			c, err := poller(t, netpoll.Options{}).Add(server, nil, o)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			send := func(b []byte) {
				if _, err := client.Write(b); err != nil {
					t.Fatal(err)
				}
				want += len(b)
			}
			all := func(what string) { o.wait(t, what, func() bool { return len(o.got) == want }) }
			send([]byte("hello"))
			all("a record")
			for range 20 {
				send([]byte("x"))
			}
			all("records of one byte")
			held.hold = true
			for range 10 {
				send(bytes.Repeat([]byte("y"), 3000))
			}
			held.release(t)
			all("records that come at once")
			send(make([]byte, 100_000))
			all("a lot")
			if !c.Write([]byte("heard")) {
				t.Error("a write was not taken")
			}
			b := make([]byte, 5)
			if _, err := io.ReadFull(client, b); err != nil || string(b) != "heard" {
				t.Errorf("got %q, %v", b, err)
			}
			_ = dialed.Close()
			o.wait(t, "the end", func() bool { return o.closed == 1 })
		})
	}
}

// delayed holds what is written, to send it at once.
type delayed struct {
	net.Conn
	hold bool
	held []byte
}

func (d *delayed) Write(b []byte) (int, error) {
	if !d.hold {
		return d.Conn.Write(b)
	}
	d.held = append(d.held, b...)
	return len(b), nil
}

func (d *delayed) release(t *testing.T) {
	t.Helper()
	d.hold = false
	if _, err := d.Conn.Write(d.held); err != nil {
		t.Fatal(err)
	}
}
