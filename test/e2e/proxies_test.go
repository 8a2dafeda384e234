package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// proxy describes an example of deploy/proxies and how to run it here, with other
// addresses and certificates.
type proxy struct {
	example string
	// local returns the configuration for this test. In example, addresses and
	// certificates have been replaced already.
	local func(dir, example string) string
	args  func(dir, config string) []string
}

var proxies = map[string]proxy{
	"nginx": {
		"nginx.conf",
		func(dir, example string) string {
			return fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log %[1]s/error.log;\nworker_processes 1;\nevents { "+
				"worker_connections 1024; }\nhttp {\naccess_log off;\n"+
				"client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; "+
				"scgi_temp_path %[1]s/e;\n%[2]s\n}\n", dir, example)
		},
		func(dir, config string) []string { return []string{"-p", dir, "-c", config} },
	},
	"haproxy": {
		"haproxy.cfg",
		func(dir, example string) string {
			return strings.NewReplacer("maxconn 100000", "maxconn 1000", dir+"/cert.pem", dir+"/both.pem").Replace(example)
		},
		func(_, config string) []string { return []string{"-db", "-f", config} },
	},
	"caddy": {
		"Caddyfile",
		func(dir, example string) string {
			return "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" +
				strings.Replace(example, "{\n\treverse_proxy", "{\n\ttls "+dir+"/cert.pem "+dir+"/key.pem\n\treverse_proxy", 1)
		},
		func(_, config string) []string { return []string{"run", "--adapter", "caddyfile", "--config", config} },
	},
}

// TestProxies opens sockets through each proxy that deploy/proxies has an example for,
// configured by that example.
func TestProxies(t *testing.T) {
	for name, p := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := findProgram(name)
			if err != nil {
				t.Skipf("%s is not installed: make tools installs it on Debian", name)
			}
			s := serve(t, "auth=none", "trusted-proxies=127.0.0.1/32")
			port := startProxy(t, p, program, strings.TrimPrefix(s.url, "http://"))
			via := &server{t: t, url: "https://localhost:" + port, Server: s.Server, client: fromElsewhere}

			id := s.channel("ada", "bob")
			ada := via.dial("ada")
			bob, _, err := via.tryDial("/ws/bob", "bob", chat.Protocol, "X-Forwarded-For", "203.0.113.9")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				ada.send(id, fmt.Sprint(i))
				bob.expect("message", func(f *frame) bool { return f.Data.Content == fmt.Sprint(i) })
			}
			// The server sees the address of the client, whatever X-Forwarded-For the client sent.
			var list struct {
				Sockets []struct{ User, Address string }
			}
			_, body := fetch(t, s.ops+"/debug/sockets")
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Sockets) != 2 {
				t.Fatalf("sockets: %v: %s, want 2 sockets", err, body)
			}
			for _, socket := range list.Sockets {
				if socket.Address != elsewhere {
					t.Errorf("the socket of %s has the address %s, want %s", socket.User, socket.Address, elsewhere)
				}
			}
			if r := via.request(http.MethodGet, "/channels/", "", nil); r.status != http.StatusUnauthorized ||
				r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("without a token: status %d, want 401 and WWW-Authenticate: %s", r.status, r.body)
			}
			if r := via.request(http.MethodGet, "/channels/"+id+"/messages", "ada", nil); r.status != http.StatusOK {
				t.Errorf("REST: status %d, want 200: %s", r.status, r.body)
			}
		})
	}
}

// elsewhere is the address of the clients. The proxies connect from 127.0.0.1.
const elsewhere = "127.0.0.2"

// fromElsewhere connects from that address and accepts the test's certificates.
var fromElsewhere = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(elsewhere)}}).DialContext,
}}

func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + name
	_, err := os.Stat(path)
	return path, err
}

// startProxy runs the example with this upstream and returns its port.
func startProxy(t *testing.T, p proxy, program, upstream string) (port string) {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	example, err := os.ReadFile("../../deploy/proxies/" + p.example)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(testkit.FreeAddress(t))
	text := p.local(dir, strings.NewReplacer(
		"127.0.0.1:8080", upstream, "listen 443", "listen 127.0.0.1:"+port, "bind :443", "bind 127.0.0.1:"+port,
		"\nchat.example.org {", "\nhttps://localhost:"+port+" {", "server_name chat.example.org", "server_name localhost",
		"/etc/ssl/chat.example.org.pem", dir+"/cert.pem", "/etc/ssl/chat.example.org.key", dir+"/key.pem",
	).Replace(string(example)))
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, p.args(dir, config)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if output, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s\n%s", output, text)
		}
	})
	for deadline := time.Now().Add(waitTimeout); ; time.Sleep(20 * time.Millisecond) {
		resp, err := fromElsewhere.Get("https://localhost:" + port + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return port
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", program, err)
		}
	}
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, content := range map[string][]byte{
		"cert.pem": cert, "key.pem": private, "both.pem": append(append([]byte{}, cert...), private...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
