// Package ops is the door for whoever runs the server: metrics, health with
// reasons, profiles, and who is connected. It has a listener of its own, on
// loopback unless told otherwise, so nothing of it is ever public by accident.
//
// What lies under /debug/ can tell what is in memory, so it is answered to this
// machine only, whatever address the listener has.
package ops

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	runtimedebug "runtime/debug"
	"time"
)

// Server answers on the operations listener. Nil fields are left out.
type Server struct {
	Metrics http.Handler
	Health  *Health
	// Sockets gives at most most of the open sockets, for /debug/sockets.
	Sockets func(most int) any
	// Pool tells who has the database's connections, for /debug/pool.
	Pool func() any
	Log  *slog.Logger
}

// Handler answers every request to the listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	if s.Metrics != nil {
		mux.HandleFunc("GET /metrics", s.metrics)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	if s.Health != nil {
		mux.HandleFunc("GET /readyz", s.ready)
	}
	debug := http.NewServeMux()
	debug.HandleFunc("GET /debug/pprof/", pprof.Index)
	debug.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	debug.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	debug.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	debug.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if s.Sockets != nil {
		debug.HandleFunc("GET /debug/sockets", s.sockets)
	}
	if s.Pool != nil {
		debug.HandleFunc("GET /debug/pool", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Pool()) })
	}
	debug.HandleFunc("POST /debug/free-memory", func(w http.ResponseWriter, _ *http.Request) {
		runtimedebug.FreeOSMemory()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/debug/", fromHere(debug))
	return mux
}

const contents = `chowk, for whoever runs it

/metrics        for Prometheus
/healthz        the process runs
/readyz         whether it should get traffic, and why not
/debug/sockets  open sockets (?limit=100)
/debug/pool     who has the database's connections
/debug/pprof/   profiles
/debug/free-memory  (POST) collects garbage, and returns what is free to the system
`

func index(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(contents)) // a reader that is gone need not be told
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	report := s.Health.Report(r.Context())
	status := http.StatusOK
	if !report.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	answer(w, status, report)
}

// metrics looks at everything first: what the checks find is among the numbers.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.Health != nil {
		s.Health.Report(r.Context())
	}
	s.Metrics.ServeHTTP(w, r)
}

const (
	someSockets = 100
	mostSockets = 10_000
)

func (s *Server) sockets(w http.ResponseWriter, r *http.Request) {
	limit := someSockets
	if text := r.URL.Query().Get("limit"); text != "" {
		if _, err := fmt.Sscanf(text, "%d", &limit); err != nil || limit < 0 || limit > mostSockets {
			http.Error(w, fmt.Sprintf("limit must be a number from 0 to %d", mostSockets), http.StatusBadRequest)
			return
		}
	}
	answer(w, http.StatusOK, s.Sockets(limit))
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// fromHere lets only this machine in, and no page that a browser on it shows: such
// a page names another host, even when its name leads to a loopback address.
func fromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		named, notAnAddress := netip.ParseAddr(host)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || host != "localhost" && (notAnAddress != nil || !named.Unmap().IsLoopback()) {
			http.Error(w, "/debug/ is for this machine only: use ssh -L or kubectl port-forward", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// HTTP makes the server for the listener. It has no write time-out: a profile
// takes as long as it was asked to.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
}

// Serve is h.Serve, without an error when it was closed.
func Serve(h *http.Server, l net.Listener) error {
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operations: %w", err)
	}
	return nil
}
