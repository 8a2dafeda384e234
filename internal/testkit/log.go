package testkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log holds the lines that a server writes to its standard error, the last
// maxLogLines of them at least.
type Log struct {
	mu      sync.Mutex // guards what follows
	lines   []string
	dropped int // lines before the first one
	ended   bool
	changed chan struct{} // closed and replaced with each line; nil before the first wait
}

const (
	maxLogLines = 100_000
	maxLogLine  = 1 << 20 // bytes
	logTimeout  = 30 * time.Second
)

// read reads lines until r ends.
func (l *Log) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		l.add(lines.Text())
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if len(l.lines) > 2*maxLogLines {
		l.lines = append([]string(nil), l.lines[maxLogLines:]...)
		l.dropped += maxLogLines
	}
	l.signal()
}

// begin and end note that a process writes, or no longer does.
func (l *Log) begin() { l.setEnded(false) }
func (l *Log) end()   { l.setEnded(true) }

func (l *Log) setEnded(ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = ended
	l.signal()
}

// signal wakes all waits. Called with mu held.
func (l *Log) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Text returns all lines.
func (l *Log) Text() string { return l.Tail(2 * maxLogLines) }

// Tail returns the last n lines.
func (l *Log) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n")
}

// Await waits for a line that contains all the words, and returns its fields.
func (l *Log) Await(t testing.TB, words ...string) map[string]any {
	t.Helper()
	line, err := l.find(0, words...)
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]any)
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("a line of the log is not JSON: %s", line)
	}
	return fields
}

// find waits for a line that contains all the words, from a position on.
func (l *Log) find(from int, words ...string) (string, error) {
	timeout := time.NewTimer(logTimeout)
	defer timeout.Stop()
	for {
		line, next, changed, ended := l.search(from, words)
		if line != "" {
			return line, nil
		}
		if ended {
			return "", fmt.Errorf("the server ended before it logged %q; its log:\n%s", words, l.Tail(100))
		}
		from = next
		select {
		case <-changed:
		case <-timeout.C:
			return "", fmt.Errorf("the server did not log %q within %s; its log:\n%s", words, logTimeout, l.Tail(100))
		}
	}
}

func (l *Log) search(from int, words []string) (line string, next int, changed <-chan struct{}, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines[min(max(0, from-l.dropped), len(l.lines)):] {
		if containsAll(line, words) {
			return line, 0, nil, false
		}
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return "", l.dropped + len(l.lines), l.changed, l.ended
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// position is the number of lines so far, dropped ones included.
func (l *Log) position() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped + len(l.lines)
}

// url waits for a line with a message after a position, and returns its url.
func (l *Log) url(from int, message string) (string, error) {
	line, err := l.find(from, `"msg":"`+message+`"`)
	if err != nil {
		return "", err
	}
	var fields struct{ URL string }
	if json.Unmarshal([]byte(line), &fields) != nil || fields.URL == "" {
		return "", errors.New("a line of the log has no url: " + line)
	}
	return fields.URL, nil
}
