package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cable is a wire between two network namespaces, the server's and the clients', that
// can lose packets: below TCP, where a proxy cannot.
type cable struct {
	t               *testing.T
	server, clients string   // names of the namespaces
	end             *os.File // the clients' namespace
}

const (
	cablePrefix   = "chowk-faults-"
	serverAddress = "10.213.0.1"
	clientAddress = "10.213.0.2"
)

// rules drop packets in both directions, by two sets of the clients' ports: one in
// twenty of those in lossy, and all of those in gone.
const rules = `table inet faults {
	set lossy { type inet_service; flags interval; }
	set gone { type inet_service; }
	chain in {
		type filter hook input priority 0;
		tcp sport @gone drop
		tcp sport @lossy numgen random mod 100 < 5 counter drop
	}
	chain out {
		type filter hook output priority 0;
		tcp dport @gone drop
		tcp dport @lossy numgen random mod 100 < 5 counter drop
	}
}`

// newCable creates a cable, or skips the test where that is impossible.
func newCable(t *testing.T) *cable {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "ss", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("network namespaces need the tools of iproute2 and nftables: %v", err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may create network namespaces")
	}
	sweepCables()
	c := &cable{
		t: t, server: fmt.Sprint(cablePrefix, os.Getpid(), "-s"),
		clients: fmt.Sprint(cablePrefix, os.Getpid(), "-c"),
	}
	t.Cleanup(func() {
		if c.end != nil {
			_ = c.end.Close()
		}
		for _, name := range []string{c.server, c.clients} {
			_ = exec.Command("ip", "netns", "del", name).Run() // with its end of the wire
		}
	})
	for _, line := range []string{
		"ip netns add " + c.server, "ip netns add " + c.clients,
		"ip link add s0 netns " + c.server + " type veth peer name c0 netns " + c.clients,
		"ip -n " + c.server + " addr add " + serverAddress + "/24 dev s0", "ip -n " + c.clients + " addr add " +
			clientAddress + "/24 dev c0",
		"ip -n " + c.server + " link set s0 up", "ip -n " + c.clients + " link set c0 up",
		"ip -n " + c.server + " link set lo up",
	} {
		if _, err := output("", strings.Fields(line)...); err != nil {
			t.Skipf("network namespaces cannot be created here: %v", err)
		}
	}
	if _, err := output(rules, c.inServer("nft", "-f", "-")...); err != nil {
		t.Skipf("packets cannot be dropped here: %v", err)
	}
	var err error
	if c.end, err = os.Open(filepath.Join("/var/run/netns", c.clients)); err != nil {
		t.Skipf("the clients' namespace cannot be entered: %v", err)
	}
	return c
}

// sweepCables removes the namespaces of killed processes.
func sweepCables() {
	left, _ := filepath.Glob(filepath.Join("/var/run/netns", cablePrefix+"*"))
	for _, path := range left {
		name := filepath.Base(path)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, cablePrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}

func output(stdin string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (c *cable) inServer(args ...string) []string {
	return append([]string{"ip", "netns", "exec", c.server}, args...)
}

// run runs a command in the server's namespace.
func (c *cable) run(args ...string) string {
	out, err := output("", c.inServer(args...)...)
	if err != nil {
		c.t.Error(err)
	}
	return out
}

// dial connects from the clients' namespace: a socket belongs to the namespace of the
// thread that creates it.
func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	runtime.LockOSThread() // a thread that cannot return ends with its goroutine
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	if err := setns(c.end.Fd()); err != nil {
		return nil, fmt.Errorf("enter the clients' namespace: %w", err)
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	if back := setns(own.Fd()); back != nil {
		return nil, fmt.Errorf("leave the clients' namespace: %w", back)
	}
	runtime.UnlockOSThread()
	return conn, err
}

// client returns an HTTP client that uses the cable. It keeps no connections alive, so
// that the open ones are sockets.
func (c *cable) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: c.dial, ResponseHeaderTimeout: 10 * time.Second,
		DisableKeepAlives: true,
	}}
}

// lost returns how many packets were dropped at random.
func (c *cable) lost() (packets int) {
	_, counters, _ := strings.Cut(c.run("nft", "list", "table", "inet", "faults"), "chain in")
	for _, counter := range strings.Split(counters, "counter packets ")[1:] {
		n, _, _ := strings.Cut(counter, " ")
		one, err := strconv.Atoi(n)
		if err != nil {
			c.t.Error(err)
		}
		packets += one
	}
	return packets
}

// ports returns the clients' ports of the server's connections.
func (c *cable) ports(server string) (ports []string) {
	for line := range strings.Lines(c.run("ss", "-Htn", "state", "established", "sport", "= :"+port(server))) {
		fields := strings.Fields(line)
		if len(fields) > 0 {
			ports = append(ports, port(fields[len(fields)-1]))
		}
	}
	return ports
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
