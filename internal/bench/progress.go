package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// Progress shows the progress of a run: on a terminal in one line that is rewritten,
// elsewhere with a line every few seconds.
type Progress struct {
	Out io.Writer
	// Live means that Out is a terminal.
	Live bool

	mu    sync.Mutex // guards what follows
	last  time.Time
	phase string
}

// NewProgress returns a Progress that writes to w.
func NewProgress(w io.Writer) *Progress {
	f, ok := w.(*os.File)
	return &Progress{Out: w, Live: ok && isatty.IsTerminal(f.Fd())}
}

// lineEvery is the time between two lines that are not rewritten.
const lineEvery = 5 * time.Second

// Show shows the state of a run.
func (p *Progress) Show(n Now) {
	p.Line(n.Scenario+" "+n.Phase, n.line())
}

// Line shows a line. It belongs to a part, and the first line of each part is always
// shown.
func (p *Progress) Line(part, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Live {
		fmt.Fprintf(p.Out, "\r\x1b[K%s", line)
		p.phase = part
		return
	}
	if part == p.phase && time.Since(p.last) < lineEvery {
		return
	}
	p.phase, p.last = part, time.Now()
	fmt.Fprintln(p.Out, line)
}

// Print writes a line that stays.
func (p *Progress) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Live && p.phase != "" {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	fmt.Fprintln(p.Out, text)
}

// End removes the line that is rewritten.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Live && p.phase != "" {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	p.phase = ""
}

func (n *Now) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.1f s  %s %-8s sockets %s", n.Elapsed.Seconds(), n.Scenario, n.Phase, report.Count(n.Point.Open))
	rate := func(title, name string) {
		if v := n.Point.Rates[name]; v > 0 {
			fmt.Fprintf(&b, "  %s %s/s", title, report.Count(int64(v+0.5)))
		}
	}
	rate("sent", "sent")
	rate("acked", "acked")
	rate("delivered", "delivered")
	rate("refused", "denied")
	for _, c := range []string{"open", "back", "ack", "delivery"} {
		if v, ok := n.Point.P99[c]; ok {
			fmt.Fprintf(&b, "  %s p99 %.1f ms", c, v)
		}
	}
	return b.String()
}
