package relay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// natsLog logs what the NATS in this process reports. Operators of chowk need little of
// it: why nodes cannot connect, once in a while.
type natsLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards what follows
	last map[string]time.Time
}

// warningInterval is the time before the same warning is logged again.
const warningInterval = 30 * time.Second

// natsWarnings are the reports that operators need, by a word in them.
var natsWarnings = []struct{ word, means string }{
	{"uthoriz", "a node with a different secret was refused, or refused this one"},
	{"uthentication", "a node with a different secret was refused, or refused this one"},
	{"TLS", "nodes do not trust each other's certificates"},
	{"x509", "nodes do not trust each other's certificates"},
	{"luster name", "a server that is not chowk tried to join the nodes"},
	{"low Consumer", "a node does not receive what it is sent"},
}

// Noticef implements server.Logger.
func (l *natsLog) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf implements server.Logger.
func (l *natsLog) Warnf(format string, v ...any) { l.rateLimited(slog.LevelDebug, format, v) }

// Errorf implements server.Logger.
func (l *natsLog) Errorf(format string, v ...any) { l.rateLimited(slog.LevelDebug, format, v) }

// Fatalf implements server.Logger. It is called before the start fails.
func (l *natsLog) Fatalf(format string, v ...any) { l.rateLimited(slog.LevelError, format, v) }

// Debugf implements server.Logger.
func (*natsLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (*natsLog) Tracef(string, ...any) {}

// rateLimited logs natsWarnings as warnings, each at most once in warningInterval, and
// everything else at the given level.
func (l *natsLog) rateLimited(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	message := "NATS reported a problem"
	for _, w := range natsWarnings {
		if strings.Contains(text, w.word) {
			if !l.isDue(w.means) {
				return
			}
			message, level = w.means, slog.LevelWarn
			break
		}
	}
	l.log.Log(context.Background(), level, "relay: "+message, "nats", text)
}

func (l *natsLog) isDue(warning string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	if time.Since(l.last[warning]) < warningInterval {
		return false
	}
	l.last[warning] = time.Now()
	return true
}
