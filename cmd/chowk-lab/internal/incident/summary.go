package incident

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// summary computes the figures of one run.
func summary(r *report.Report, seen []sampled, o *Options) *Way {
	silent := o.Duration.Seconds() / 2
	w := &Way{}
	for _, p := range r.Points {
		if p.At <= o.Duration.Seconds() { // later, the last answers may still arrive
			w.Points = append(w.Points, p)
		}
	}
	for _, s := range seen {
		at := s.at.Sub(r.Started).Seconds()
		if at < 0 || at > o.Duration.Seconds() {
			continue // the server is starting, or has ended
		}
		w.Pool = append(w.Pool, Sample{At: at, Open: s.open, InUse: s.inUse})
		w.OpenMost = max(w.OpenMost, s.open)
		if at <= silent {
			w.InUseBefore = max(w.InUseBefore, s.inUse)
		} else {
			w.InUseAfter = max(w.InUseAfter, s.inUse)
		}
	}
	w.ExhaustedAt = exhausted(w.Pool, o.Size+o.Overflow)
	for _, p := range r.Phases {
		w.LetIn += p.Counts["opened"]
		w.Unanswered += p.Counts["unanswered"]
	}
	if len(r.Phases) > 0 {
		w.AckP99 = r.Phases[0].Latencies["ack"].P99
	}
	w.AcksBefore = acks(w.Points, silent/2, silent)
	w.AcksAfter = acks(w.Points, silent*lastPart, silent*2)
	for _, p := range w.Points {
		if p.At < silent {
			w.UsableBefore = p.Usable
		}
		w.UsableAfter = p.Usable
		if p.Rates["acked"] > 0 {
			w.LastAck = p.At
		}
	}
	return w
}

// A pool is exhausted once all connections are in use and nearly every later sample
// finds them so. A burst that passes does not count, and a single connection between
// two transactions does not change it.
const (
	stays  = 0.5 // seconds that must remain
	nearly = 0.9
)

func exhausted(looks []Sample, all int) float64 {
	at, full := -1.0, 0
	for i := len(looks) - 1; i >= 0; i-- {
		if looks[i].InUse < all {
			continue
		}
		full++
		if float64(full) >= nearly*float64(len(looks)-i) && looks[len(looks)-1].At-looks[i].At >= stays {
			at = looks[i].At
		}
	}
	return at
}

// lastPart is where the end begins: the last eighth of the run.
const lastPart = 1.75

// acks returns the rate between two moments.
func acks(points []report.Point, from, to float64) float64 {
	sum, n := 0.0, 0
	for _, p := range points {
		if p.At > from && p.At <= to {
			sum += p.Rates["acked"]
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// words returns the summary in one line.
func (w *Way) words(o *Options) string {
	return fmt.Sprintf("%d of %d sockets accepted; connections in use: %s; "+
		"%.0f acks/s before and %.0f/s after one stopped reading",
		w.LetIn, o.Sockets, w.pool(o.Duration.Seconds()/2), w.AcksBefore, w.AcksAfter)
}

// pool describes the use of the pool.
func (w *Way) pool(silent float64) string {
	switch {
	case w.ExhaustedAt < 0:
		return fmt.Sprintf("at most %d", max(w.InUseBefore, w.InUseAfter))
	case w.ExhaustedAt <= silent:
		return fmt.Sprintf("all, %.1f s after the start", w.ExhaustedAt)
	}
	return fmt.Sprintf("all, %.1f s after it", w.ExhaustedAt-silent)
}

// Table writes the result for a terminal.
func (r *Result) Table(w io.Writer) error {
	if r.Interrupted {
		if _, err := fmt.Fprintln(w, "The run was interrupted; these are the results so far."); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, r.writer().Render())
	return err
}

func (r *Result) writer() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{
		"one client stops reading", "accepted", fmt.Sprintf("connections in use, of %d", r.Connections), "usable before",
		"at the end", "acks/s before", "at the end", "last ack",
		"unanswered",
	})
	var aligned []table.ColumnConfig
	for _, n := range []int{2, 4, 5, 6, 7, 8, 9} {
		aligned = append(aligned, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(aligned)
	for _, w := range r.Ways {
		last := fmt.Sprintf("%.1f s after it", w.LastAck-r.SilentAt)
		if w.LastAck >= r.Seconds-1 {
			last = "the end"
		}
		t.AppendRow(table.Row{
			w.Name, fmt.Sprintf("%d of %d", w.LetIn, r.Sockets), w.pool(r.SilentAt), w.UsableBefore, w.UsableAfter,
			fmt.Sprintf("%.0f", w.AcksBefore), fmt.Sprintf("%.0f", w.AcksAfter), last, w.Unanswered,
		})
	}
	return t
}
