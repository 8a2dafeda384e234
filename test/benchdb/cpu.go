//go:build !windows

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks are the kernel's units of CPU time in a second (USER_HZ).
const ticks = 100

// usage is CPU time in seconds, as of one moment.
type usage struct {
	at       time.Time
	own      float64 // this process: senders, journal, store
	postgres float64 // the postmaster and its children
	machine  float64 // everybody, all CPUs; 0 where there is no /proc
}

func usageNow(postmaster int) usage {
	u := usage{at: time.Now(), machine: machineCPU()}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err == nil {
		u.own = seconds(r.Utime) + seconds(r.Stime)
	}
	if postmaster != 0 {
		u.postgres = familyCPU(postmaster)
	}
	return u
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// familyCPU is the CPU time of a process, of its living children and of those that
// it has waited for.
func familyCPU(pid int) (total float64) {
	total = processCPU(pid, true)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return total
	}
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			total += processCPU(n, false)
		}
	}
	return total
}

func processCPU(pid int, withWaitedFor bool) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold blanks; utime is the 12th field after it.
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

// machineCPU is the CPU time that anybody has used.
func machineCPU() (total float64) {
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

// since gives what was used since an earlier moment.
func (u usage) since(before usage) usage {
	return usage{own: u.own - before.own, postgres: u.postgres - before.postgres, machine: u.machine - before.machine, at: u.at}
}
