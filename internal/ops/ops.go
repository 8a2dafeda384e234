// Package ops is the HTTP interface for operators: metrics, health with reasons,
// profiles, and the open sockets. It has its own listener, by default on loopback,
// so that nothing of it becomes public by accident.
//
// Paths under /debug/ can reveal the contents of memory, so they answer only to this
// machine, whatever address the listener has.
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

// Server serves the operations listener. The endpoint of a nil field does not exist.
type Server struct {
	Metrics http.Handler
	Health  *Health
	// Sockets returns at most limit of the open sockets, for /debug/sockets.
	Sockets func(limit int) any
	// Pool returns the holders of database connections, for /debug/pool.
	Pool func() any
	Log  *slog.Logger
}

// Handler returns the handler of the listener.
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
		debug.HandleFunc(
			"GET /debug/pool",
			func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Pool()) },
		)
	}
	debug.HandleFunc("POST /debug/free-memory", func(w http.ResponseWriter, _ *http.Request) {
		runtimedebug.FreeOSMemory()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/debug/", fromHere(debug))
	return mux
}

const contents = `chowk operations

/metrics        for Prometheus
/healthz        the process is running
/readyz         whether it should receive traffic, with reasons
/debug/sockets  open sockets (?limit=100)
/debug/pool     the work that holds database connections
/debug/pprof/   profiles
/debug/free-memory  (POST) collect garbage and return free memory to the system
`

func index(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(contents)) // the client may be gone
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

// metrics runs every check first, because some metrics report their results.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.Health != nil {
		s.Health.Report(r.Context())
	}
	s.Metrics.ServeHTTP(w, r)
}

const (
	defaultSockets = 100
	maxSockets     = 10_000
)

func (s *Server) sockets(w http.ResponseWriter, r *http.Request) {
	limit := defaultSockets
	if text := r.URL.Query().Get("limit"); text != "" {
		if _, err := fmt.Sscanf(text, "%d", &limit); err != nil || limit < 0 || limit > maxSockets {
			http.Error(w, fmt.Sprintf("limit must be a number from 0 to %d", maxSockets), http.StatusBadRequest)
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

// fromHere admits only requests from this machine, and none from a page in a browser
// on it: such a page names another host, even if that name resolves to a loopback
// address (DNS rebinding).
func fromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		named, notAnAddress := netip.ParseAddr(host)
		isLocalPeer := err == nil && peer.Addr().Unmap().IsLoopback()
		isLocalHost := host == "localhost" || notAnAddress == nil && named.Unmap().IsLoopback()
		if !isLocalPeer || !isLocalHost {
			http.Error(w, "/debug/ answers only on the machine itself: use ssh -L or kubectl port-forward", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// HTTP returns the server for the listener. It has no write timeout, because a
// profile takes as long as its caller asks for.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
}

// Serve runs h.Serve. It returns nil after h was closed.
func Serve(h *http.Server, l net.Listener) error {
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operations: %w", err)
	}
	return nil
}
