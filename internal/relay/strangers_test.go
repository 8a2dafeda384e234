package relay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/relay"
)

const secret = "a secret of some length"

// TestANodeWithAnotherSecretIsRefused. It has its messages from the database.
func TestANodeWithAnotherSecretIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	a := start(t, url, c)
	c.Link.Routes, c.Link.Secret = []string{a.relay.RouteAddress()}, "another secret of some length"
	b := start(t, url, c)
	heardFromTheDatabase(t, a, b)
}

// heardFromTheDatabase is so of nodes that do not hear each other.
func heardFromTheDatabase(t *testing.T, a, b *node) {
	t.Helper()
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	for i := range 3 {
		last := a.publish(id, "ada", fmt.Sprint(i))
		bob.hears(id, 2, last.Seq)
	}
	s := b.relay.State()
	if s.Peers != 0 || !s.Degraded || !strings.Contains(s.Why, a.relay.ID()) || s.Nodes != 1 {
		t.Errorf("b thinks %+v", s)
	}
	for _, n := range []*node{a, b} {
		if n.counted(n.numbers.Relay.Received, "events")+n.counted(n.numbers.Relay.Received, "beat") != 0 {
			t.Error("something came from the other node")
		}
	}
}

// TestNodesProveThemselvesByCertificates.
func TestNodesProveThemselvesByCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, others := authority(t, dir, "ours"), authority(t, dir, "others")
	one, two, stranger := ours("one"), ours("two"), others("stranger")
	url := pgtest.Database(t)
	c := quick
	with := func(files [2]string, ca string, routes ...string) relay.Config {
		c := c
		c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret, Routes: routes, CertFile: files[0], KeyFile: files[1], CAFile: filepath.Join(dir, ca+".pem")}
		return c
	}
	a := start(t, url, with(one, "ours"))
	b := start(t, url, with(two, "ours", a.relay.RouteAddress()))
	together(t, a, b)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.publish(id, "ada", "x")
	bob.hears(id, 2, 2)

	eve := start(t, url, with(stranger, "others", a.relay.RouteAddress()))
	c.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret, Routes: []string{a.relay.RouteAddress()}}
	plain := start(t, url, c)
	a.publish(id, "ada", "y")
	bob.hears(id, 2, 3)
	for _, n := range []*node{eve, plain} {
		until(t, "a stranger sees that he is not heard", func() bool { return n.relay.State().Nodes >= 2 })
		if s := n.relay.State(); s.Peers != 0 || !s.Degraded {
			t.Errorf("a stranger is taken for a node: %+v", s)
		}
	}
}

// authority makes one, in dir/name.pem, and gives what makes certificates that it
// signs.
func authority(t *testing.T, dir, name string) func(name string) [2]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(name+".pem", "CERTIFICATE", der)
	return func(leaf string) [2]string {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: leaf}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, cert, root, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{write(leaf+".pem", "CERTIFICATE", der), write(leaf+".key", "PRIVATE KEY", pkcs8)}
	}
}

// elsewhere is a NATS that is not in a node.
func elsewhere(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, Authorization: secret, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS is not ready")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// met is two nodes that meet at a NATS elsewhere.
func met(t *testing.T) (a, b *node, s *server.Server) {
	t.Helper()
	s = elsewhere(t, server.RANDOM_PORT)
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{URL: s.ClientURL(), Secret: secret}
	a, b = start(t, url, c), start(t, url, c)
	together(t, a, b)
	return a, b, s
}

// TestANATSElsewhereMayEndAndComeBack.
func TestANATSElsewhereMayEndAndComeBack(t *testing.T) {
	t.Parallel()
	a, b, s := met(t)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.publish(id, "ada", "x")
	bob.hears(id, 2, 2)
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	for i := range 3 {
		a.publish(id, "ada", fmt.Sprint(i))
	}
	bob.hears(id, 2, 5)
	until(t, "b sees it", func() bool { return strings.Contains(b.relay.State().Why, "no connection") })
	elsewhere(t, port)
	together(t, a, b)
	before := b.counted(b.numbers.Relay.Received, "events")
	a.publish(id, "ada", "y")
	bob.hears(id, 2, 6)
	until(t, "the relay brings it", func() bool { return b.counted(b.numbers.Relay.Received, "events") > before })
}

// TestANodeStartsWithoutItsNATS, and hears the others when it comes.
func TestANodeStartsWithoutItsNATS(t *testing.T) {
	t.Parallel()
	s := elsewhere(t, server.RANDOM_PORT)
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	url := pgtest.Database(t)
	c := quick
	c.Link = relay.Link{URL: s.ClientURL(), Secret: secret}
	a, b := start(t, url, c), start(t, url, c)
	heardFromTheDatabase(t, a, b)
	elsewhere(t, port)
	together(t, a, b)
}

// TestNodesOfAnotherDatabaseAreNotHeard, though they meet at the same NATS.
func TestNodesOfAnotherDatabaseAreNotHeard(t *testing.T) {
	t.Parallel()
	a, b, s := met(t)
	c := quick
	c.Link, c.Space = relay.Link{URL: s.ClientURL(), Secret: secret}, "another"
	other := start(t, pgtest.Database(t), c)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.publish(id, "ada", "x")
	bob.hears(id, 2, 2)
	if st := other.relay.State(); st.Peers != 0 || st.Nodes != 0 {
		t.Errorf("the other thinks %+v", st)
	}
	if st := a.relay.State(); st.Peers != 1 {
		t.Errorf("a thinks %+v", st)
	}
}

// TestNobodyGainsByForgedMessages: whoever can write to the NATS can tell lies, and
// what is true comes all the same. He makes nobody a member.
func TestNobodyGainsByForgedMessages(t *testing.T) {
	t.Parallel()
	a, b, s := met(t)
	id := a.channel("ada", "bob")
	b.users("eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.publish(id, "ada", "x")
	bob.hears(id, 2, 2)
	nc, err := nats.Connect(s.ClientURL(), nats.Token(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	forge := func(to string, kind byte, body string) {
		t.Helper()
		m := append([]byte{1, kind, 1, 2, 3, 4, 5, 6, 7, 8}, binary.BigEndian.AppendUint64(nil, 1)...)
		if err := nc.Publish("chowk.test."+to, append(m, body...)); err != nil {
			t.Fatal(err)
		}
	}
	channel := "c." + id.String()
	far := `"channel":"` + id.String() + `","seq":1152921504606846976`
	for _, body := range []string{``, `{`, `[]`, `null`, `[null]`, `[{}]`, strings.Repeat(`[`, 10_000), "\xff", `[{"type":"message",` + far + `}]`} {
		for _, kind := range "ehjtrpawvubyx?" {
			forge(channel, byte(kind), body)
			forge("all", byte(kind), body)
		}
	}
	if err := nc.Publish("chowk.test.all", []byte{9}); err != nil { // of another version
		t.Fatal(err)
	}
	if err := nc.Publish("chowk.test.all", append([]byte{1, 'e'}, make([]byte, 600<<10)...)); err != nil {
		t.Fatal(err)
	}
	// An entry far beyond the head, one long past, and memberships that never were.
	forge(channel, 'e', `[{"type":"message_deleted",`+far+`,"user":"ada","message_id":"`+id.String()+`"}]`)
	forge(channel, 'e', `[{"type":"message_deleted","channel":"`+id.String()+`","seq":1,"user":"ada","message_id":"`+id.String()+`"}]`)
	forge(channel, 'e', `[{"type":"member_joined",`+far+`,"user":"ada","subject":"eve"}]`)
	forge("all", 'j', `{`+far+`,"users":["eve"]}`)
	forge("all", 'j', `{"channel":"`+id.String()+`","seq":1,"users":["eve"]}`)
	forge("all", 'j', `{"channel":"`+chat.NewID().String()+`","seq":1,"users":["eve","bob"]}`)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"version", "kind", "malformed", "size"} {
		until(t, why+" is counted", func() bool { return b.counted(b.numbers.Relay.Ignored, why) > 0 })
	}
	for i := range 300 {
		last := a.publish(id, "ada", fmt.Sprint(i))
		if i%100 == 0 {
			bob.hears(id, 2, last.Seq)
		}
	}
	bob.hears(id, 2, 302)
	if b.hub.HasListeners(id) && len(eve.frames()) > 0 {
		t.Errorf("eve is told %+v", eve.frames())
	}
}
