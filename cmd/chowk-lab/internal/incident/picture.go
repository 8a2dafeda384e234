package incident

import (
	"fmt"
	"html/template"
	"io"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// Sizes in pixels.
const (
	columns     = 3
	columnWidth = 310
	rowHeight   = 150
	headHeight  = 104
	footHeight  = 10
	margin      = 16
	width       = columns * columnWidth
	height      = headHeight + 3*rowHeight + footHeight
)

// picture draws a column for each server and a row for each measure, all on the same
// scales.
func (r *Result) picture() string {
	parts := []string{report.Label("head", margin, 24, fmt.Sprintf(
		"%d sockets, a pool of %d connections, and one client that stops reading", r.Sockets, r.Connections))}
	mostAcks := 1.0
	for _, w := range r.Ways {
		mostAcks = max(mostAcks, w.AcksBefore*1.5)
	}
	for i := range r.Ways {
		w := &r.Ways[i]
		x := float64(i) * columnWidth
		parts = append(parts, report.Label(fmt.Sprintf("way f%d", i), x+margin, 55, w.Name),
			report.Label("", x+margin, 73, w.caption()), report.Label("end", x+margin, 91, w.end(r)))
		for row, c := range []*report.Chart{w.poolChart(r), w.usableChart(r), w.ackChart(mostAcks)} {
			c.MaxX = r.Seconds
			c.Marks = []report.Mark{{X: r.SilentAt, Text: ""}}
			c.Lines[0].Hue = i
			c.Lines[0].Area = true
			if row == 0 {
				c.Marks[0] = report.Mark{X: r.SilentAt, Text: "one client stops reading", Centred: true}
			}
			parts = append(parts, c.In(report.Frame{
				X: x, Y: headHeight + float64(row)*rowHeight, Width: columnWidth,
				Height: rowHeight,
			}))
		}
	}
	return report.Drawing(width, height, parts...)
}

// caption describes how long a connection is held.
func (w *Way) caption() string {
	switch w.Name {
	case Chowk:
		return "held for a commit of many messages"
	case PerSocket:
		return "held while the socket is open"
	}
	return "held until the broadcast is done"
}

// end describes the outcome.
func (w *Way) end(r *Result) string {
	out := int64(r.Sockets) - w.LetIn
	switch {
	case out > 0:
		return fmt.Sprintf("%d of %d sockets are never accepted", out, r.Sockets)
	case w.ExhaustedAt > r.SilentAt && w.AcksAfter == 0:
		return fmt.Sprintf("all %d taken within %.1f s, then no answers", r.Connections, w.ExhaustedAt-r.SilentAt)
	case w.ExhaustedAt >= 0:
		return fmt.Sprintf("all %d taken", r.Connections)
	}
	return fmt.Sprintf("at most %d in use, all others go on", max(w.InUseBefore, w.InUseAfter))
}

func (w *Way) poolChart(r *Result) *report.Chart {
	l := report.Line{}
	for _, s := range w.Pool {
		l.Points = append(l.Points, report.XY{X: s.At, Y: float64(s.InUse)})
	}
	return &report.Chart{
		Title: "connections in use", Lines: []report.Line{l}, MaxY: float64(r.Connections) * 1.15,
		Limit: float64(r.Connections), Values: []float64{0, float64(r.Connections) / 2, float64(r.Connections)},
	}
}

func (w *Way) usableChart(r *Result) *report.Chart {
	l := report.Line{}
	for _, p := range w.Points {
		l.Points = append(l.Points, report.XY{X: p.At, Y: float64(p.Usable)})
	}
	return &report.Chart{
		Title: "usable sockets", Lines: []report.Line{l}, MaxY: float64(r.Sockets) * 1.1, Values: []float64{0, 15, 30, 45},
	}
}

func (w *Way) ackChart(most float64) *report.Chart {
	l := report.Line{}
	for _, p := range w.Points {
		l.Points = append(l.Points, report.XY{X: p.At, Y: p.Rates["acked"]})
	}
	return &report.Chart{Title: "answers per second", Lines: []report.Line{l}, MaxY: most}
}

// SVG writes the picture.
func (r *Result) SVG(w io.Writer) error {
	_, err := io.WriteString(w, r.picture()+"\n")
	return err
}

// HTML writes the result as a page.
func (r *Result) HTML(w io.Writer) error {
	p := report.Page{
		Title: "The incident, three ways",
		What: fmt.Sprintf("%d members of one channel share a pool of %d connections. "+
			"After %.0f seconds, one of them stops reading.",
			r.Sockets, r.Connections, r.SilentAt),
		When: r.Started.UTC().Format("2 January 2006, 15:04 UTC"), Machine: r.Machine, Settings: r.Settings,
		Figures: []template.HTML{template.HTML(r.picture())}, //nolint:gosec // made here, escaped
		Tables:  []template.HTML{template.HTML(report.AsHTML(r.writer().RenderHTML()))},
		//nolint:gosec // made by go-pretty, which escapes
	}
	return p.Write(w)
}
