package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk"
)

// usedAddress returns an address on which a listener is open until the test ends.
func usedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestAnAddressInUseIsNamedWithItsFlag(t *testing.T) {
	address := usedAddress(t)
	want := address + " is already in use: stop the program that uses it, or choose another address with --listen"
	if _, err := listen(t.Context(), "listen", address); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// TestOnlyADefaultAddressForOperatorsIsReplaced: one that was chosen must be free.
func TestOnlyADefaultAddressForOperatorsIsReplaced(t *testing.T) {
	address := usedAddress(t)
	for kind, replaced := range map[sourceKind]bool{fromDefault: true, inFile: false, inEnv: false, onLine: false} {
		cfg := &config{Config: chowk.Defaults(), sources: map[string]source{"ops.listen": {kind, "x"}}}
		cfg.Ops.Listen = address
		var log bytes.Buffer
		l, err := listenForOperations(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
		if err == nil {
			l.Close()
		}
		if (err == nil) != replaced {
			t.Errorf("from %s: got error %v, want another address: %v", kind, err, replaced)
		}
		if warned := strings.Contains(log.String(), "ops.listen "+address+" is in use"); warned != replaced {
			t.Errorf("from %s: the log says %q", kind, log.String())
		}
	}
	off := &config{}
	if l, err := listenForOperations(t.Context(), off, slog.New(slog.DiscardHandler)); l != nil || err != nil {
		t.Errorf("got the listener %v (%v), want none when it is off", l, err)
	}
}

func TestLinksLeadToThePortThatTheSystemChose(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv4zero, Port: 4711}
	for wanted, want := range map[string]string{":0": ":4711", "127.0.0.1:0": "127.0.0.1:4711", "nonsense": "nonsense"} {
		if got := boundAddress(wanted, bound); got != want {
			t.Errorf("for %s got %s, want %s", wanted, got, want)
		}
	}
}
