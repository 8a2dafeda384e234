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

// Machine is what bounds the sockets of this machine. 0 is what is not known.
type Machine struct {
	// Descriptors is how many files this process may open at most.
	Descriptors uint64
	// MemoryFree is what is left for it, by the machine or the container.
	MemoryFree uint64
	// Connections is how many the firewall keeps track of, ConnectionsUsed how many
	// it does.
	Connections, ConnectionsUsed uint64
	// Backlog is how many handshakes wait to be accepted.
	Backlog uint64
}

// reserve are the descriptors that chowk needs beside those of sockets.
const reserve = 200

// socketBytes is what an idle socket costs, in the kernel and here, on the safe
// side.
const socketBytes = 16 << 10

// ThisMachine reads what Linux tells; elsewhere most of it is not known.
func ThisMachine() Machine {
	m := Machine{
		Descriptors:     descriptors(),
		MemoryFree:      memoryFree(),
		Connections:     number("/proc/sys/net/netfilter/nf_conntrack_max"),
		ConnectionsUsed: number("/proc/sys/net/netfilter/nf_conntrack_count"),
		Backlog:         number("/proc/sys/net/core/somaxconn"),
	}
	if most := number("/proc/sys/fs/nr_open"); most > 0 && m.Descriptors > most {
		m.Descriptors = most
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
		return 0 // "max", for one
	}
	return n
}

// memoryFree is the smaller of what the machine has and what the container may
// take.
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
	if most := number("/sys/fs/cgroup/memory.max"); most > 0 {
		used := number("/sys/fs/cgroup/memory.current")
		free = min(free, most-min(used, most))
	}
	return free
}

func lookAtMachine(_ context.Context, s Subject) (all []Finding) {
	m := s.Machine
	sockets, by := m.sockets()
	f := fine("sockets", "this machine can hold about %d, by its %s", sockets, by)
	switch {
	case by == "":
		f = Finding{"sockets", Unknown, "how many this machine can hold is not known on this system", ""}
	case sockets < max(s.SocketsWanted, 1):
		f.Status = Failure
		f.Found += fmt.Sprintf(", and limits.sockets is %d: the server will not start, or run out", s.SocketsWanted)
		f.Advice = advice[by]
	case sockets < 1000:
		f.Status, f.Advice = Warning, advice[by]
	}
	all = append(all, f)
	if m.Backlog > 0 && m.Backlog < 1024 {
		all = append(all, Finding{"backlog", Warning, fmt.Sprintf("at most %d handshakes wait to be accepted", m.Backlog), "sysctl -w net.core.somaxconn=4096, for when everybody comes back at once"})
	}
	return all
}

var advice = map[string]string{
	"open files":        "raise the limit: LimitNOFILE= in the systemd unit, ulimits: nofile in compose, ulimit -n in a shell",
	"memory":            "give the machine or the container more memory",
	"tracked addresses": "sysctl -w net.netfilter.nf_conntrack_max=..., or exempt chowk's port from tracking",
}

// sockets is how many fit, and what bounds them.
func (m Machine) sockets() (most int, by string) {
	consider := func(n uint64, what string) {
		if n := int(min(n, 100_000_000)); by == "" || n < most {
			most, by = n, what
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
	return most, by
}

func lookAtDisk(_ context.Context, s Subject) []Finding {
	path := s.DataPath
	for path != "." && path != "/" {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path) // it is made at the first start
	}
	var all []Finding
	free, total, ok := ops.Disk(path)
	switch f := fine("disk", "%s free of %s at %s", bytesText(free), bytesText(total), path); {
	case !ok:
		all = append(all, Finding{"disk", Unknown, "how much is free is not known on this system", ""})
	case free < 64<<20:
		f.Status, f.Advice = Failure, "make room, or move data-dir: with a full disk nothing can be sent"
		all = append(all, f)
	case free < 1<<30 || free < total/20 && free < 10<<30:
		f.Status, f.Advice = Warning, "make room soon, or move data-dir"
		all = append(all, f)
	default:
		all = append(all, f)
	}
	probe, err := os.CreateTemp(path, ".chowk-doctor-")
	if err != nil {
		return append(all, Finding{"data directory", Failure, "this user cannot write in " + path, "chown it to the user that runs chowk"})
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		all = append(all, Finding{"data directory", Warning, "a file made in " + path + " could not be removed", "look at its permissions"})
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
