package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/chowk-chat/chowk/internal/ops"
)

// Machine holds what limits the number of sockets on this machine. 0 means unknown.
type Machine struct {
	// Descriptors is the maximum number of files that this process may open.
	Descriptors uint64
	// MemoryFree is the number of bytes left for it on the machine or in the container.
	MemoryFree uint64
	// Connections is the maximum number of connections that the firewall tracks, and
	// ConnectionsUsed the number that it tracks now.
	Connections, ConnectionsUsed uint64
	// Backlog is the maximum number of connections that wait to be accepted.
	Backlog uint64
}

// reserve is the number of descriptors that chowk needs in addition to those of
// sockets.
const reserve = 200

// socketBytes is a safe upper bound on the memory of an idle socket, in the kernel and
// in the process.
const socketBytes = 16 << 10

// ThisMachine reads the limits from Linux; on other systems most are unknown.
func ThisMachine() Machine {
	m := Machine{
		Descriptors:     descriptors(),
		MemoryFree:      memoryFree(),
		Connections:     number("/proc/sys/net/netfilter/nf_conntrack_max"),
		ConnectionsUsed: number("/proc/sys/net/netfilter/nf_conntrack_count"),
		Backlog:         number("/proc/sys/net/core/somaxconn"),
	}
	if limit := number("/proc/sys/fs/nr_open"); limit > 0 && m.Descriptors > limit {
		m.Descriptors = limit
	}
	return m
}

func number(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		return 0 // for example "max"
	}
	return n
}

// memoryFree returns the smaller of the machine's available memory and the rest of
// the container's limit.
func memoryFree() (free uint64) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			var kib uint64
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err == nil {
				free = kib << 10
			}
		}
	}
	if limit := number("/sys/fs/cgroup/memory.max"); limit > 0 {
		used := number("/sys/fs/cgroup/memory.current")
		free = min(free, limit-min(used, limit))
	}
	return free
}

func checkMachine(_ context.Context, s Subject) (all []Finding) {
	m := s.Machine
	sockets, by := m.sockets()
	f := fine("sockets", "room for about %d sockets (limit: %s)", sockets, by)
	switch {
	case by == "":
		f = Finding{"sockets", Unknown, "the limits are not known on this system", ""}
	case sockets < max(s.SocketsWanted, 1):
		f.Status = Failure
		f.Found += fmt.Sprintf(", but limits.sockets is %d: the server will not start, or will run out", s.SocketsWanted)
		f.Advice = advice[by]
	case sockets < 1000:
		f.Status, f.Advice = Warning, advice[by]
	}
	all = append(all, f)
	if m.Backlog > 0 && m.Backlog < 1024 {
		all = append(all, Finding{
			"backlog", Warning, fmt.Sprintf("only %d connections can wait to be accepted", m.Backlog),
			"run sysctl -w net.core.somaxconn=4096, so that clients that all reconnect at once can get in",
		})
	}
	return all
}

var advice = map[string]string{
	"open files": "raise the limit: LimitNOFILE= in the systemd unit, ulimits: nofile in compose, ulimit " +
		"-n in a shell",
	"memory":            "give the machine or the container more memory",
	"tracked addresses": "run sysctl -w net.netfilter.nf_conntrack_max=..., or exempt chowk's port from tracking",
}

// sockets returns how many fit, and what limits them.
func (m Machine) sockets() (count int, by string) {
	consider := func(n uint64, what string) {
		if n := int(min(n, 100_000_000)); by == "" || n < count {
			count, by = n, what
		}
	}
	if m.Descriptors > 0 {
		consider(m.Descriptors-min(m.Descriptors, reserve), "open files")
	}
	if m.MemoryFree > 0 {
		consider(m.MemoryFree/socketBytes, "memory")
	}
	if m.Connections > 0 {
		consider(m.Connections-min(m.Connections, m.ConnectionsUsed), "tracked addresses")
	}
	return count, by
}

func checkDisk(_ context.Context, s Subject) []Finding {
	path := s.DataPath
	for path != "." && path != "/" {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path) // the first start creates it
	}
	var all []Finding
	free, total, ok := ops.Disk(path)
	switch f := fine("disk", "%s free of %s at %s", bytesText(free), bytesText(total), path); {
	case !ok:
		all = append(all, Finding{"disk", Unknown, "the free space is not known on this system", ""})
	case free < 64<<20:
		f.Status, f.Advice = Failure, "free some space, or move data-dir: with a full disk no message can be sent"
		all = append(all, f)
	case free < 1<<30 || free < total/20 && free < 10<<30:
		f.Status, f.Advice = Warning, "free some space soon, or move data-dir"
		all = append(all, f)
	default:
		all = append(all, f)
	}
	probe, err := os.CreateTemp(path, ".chowk-doctor-")
	if err != nil {
		return append(all, Finding{
			"data directory", Failure, "this user cannot write to " + path, "chown it to the user that runs chowk",
		})
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		all = append(all, Finding{
			"data directory", Warning, "a file created in " + path + " could not be removed", "check its permissions",
		})
	}
	return all
}

func bytesText(n uint64) string {
	switch {
	case n >= 1<<40:
		return fmt.Sprintf("%.1f TiB", float64(n)/(1<<40))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
