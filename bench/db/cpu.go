//go:build !windows

package main

import (
	"time"

	cpu "github.com/chowk-chat/chowk/bench/internal/usage"
)

// usage is CPU time in seconds up to one moment.
type usage struct {
	at       time.Time
	own      float64 // this process: senders, journal, store
	postgres float64 // the postmaster and its children
	machine  float64 // all processes on all CPUs; 0 where there is no /proc
}

func usageNow(postmaster int) usage {
	u := usage{at: time.Now(), machine: cpu.Machine(), own: cpu.Own()}
	if postmaster != 0 {
		u.postgres = cpu.Family(postmaster)
	}
	return u
}

// since returns what was used since an earlier moment.
func (u usage) since(before usage) usage {
	return usage{
		own: u.own - before.own, postgres: u.postgres - before.postgres, machine: u.machine - before.machine,
		at: u.at,
	}
}
