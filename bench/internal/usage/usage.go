//go:build !windows

// Package usage reports CPU time and memory of processes, for benchmarks that share
// their machine with other programs.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ticks are the kernel's units of CPU time per second (USER_HZ).
const ticks = 100

// Own returns the CPU time of this process, in seconds.
func Own() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return seconds(r.Utime) + seconds(r.Stime)
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// Family returns the CPU time of a process, its living children and those that it has
// waited for, in seconds; 0 where there is no /proc.
func Family(pid int) (total float64) {
	total = Process(pid, true)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return total
	}
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			total += Process(n, false)
		}
	}
	return total
}

// Process returns the CPU time of a process in seconds, optionally with that of the
// children that it has waited for; 0 where there is no /proc.
func Process(pid int, withWaitedFor bool) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may contain spaces; utime is the 12th field after it.
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 15 {
		return 0
	}
	sum := 0.0
	last := 13
	if withWaitedFor {
		last = 15
	}
	for _, f := range fields[11:last] {
		n, _ := strconv.ParseFloat(f, 64)
		sum += n / ticks
	}
	return sum
}

// AnonymousMemory returns a process's resident memory in bytes without its code and
// files, which do not grow with sockets; 0 where there is no /proc.
func AnonymousMemory(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024
		}
	}
	return 0
}

// Machine returns the CPU time of all processes, in seconds; 0 where there is no /proc.
func Machine() (total float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line) {
		// user nice system idle iowait irq softirq steal; guest is within user.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseFloat(f, 64)
		total += n / ticks
	}
	return total
}
