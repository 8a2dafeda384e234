package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// Page is the content of a report's page.
type Page struct {
	Title, What, Target, When, Machine string
	Settings                           []Setting
	Findings                           []string
	Tables                             []template.HTML
	// Figures are complete drawings.
	Figures []template.HTML
}

// Write writes the page: a single file that loads nothing.
func (p *Page) Write(w io.Writer) error {
	if err := page.Execute(w, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// HTML writes the report as a page.
func (r *Report) HTML(w io.Writer) error {
	p := &Page{
		Title: r.Title, What: r.What, Target: r.Target, When: r.Started.UTC().Format("2 January 2006, 15:04 UTC"),
		Machine:  r.Machine,
		Settings: r.Settings, Findings: r.Findings,
		Tables: []template.HTML{template.HTML(r.countHTML()), template.HTML(r.clockHTML())},
		//nolint:gosec // made by go-pretty, which escapes
	}
	for _, c := range r.charts() {
		p.Figures = append(p.Figures, template.HTML(c.SVG(900, 240))) //nolint:gosec // made here, escaped
	}
	return p.Write(w)
}

// series returns one number of each point.
func (r *Report) series(name string, hue int, value func(*Point) (float64, bool)) Line {
	l := Line{Name: name, Hue: hue}
	for i := range r.Points {
		if v, ok := value(&r.Points[i]); ok {
			l.Points = append(l.Points, XY{r.Points[i].At, v})
		}
	}
	return l
}

func (r *Report) charts() []*Chart {
	rate := func(name string) func(*Point) (float64, bool) {
		return func(p *Point) (float64, bool) { return p.Rates[name], true }
	}
	quantile := func(of func(*Point) map[string]float64, name string) func(*Point) (float64, bool) {
		return func(p *Point) (float64, bool) { v, ok := of(p)[name]; return v, ok }
	}
	p50 := func(p *Point) map[string]float64 { return p.P50 }
	p99 := func(p *Point) map[string]float64 { return p.P99 }
	all := []*Chart{
		{Title: "Sockets", Lines: []Line{
			r.series("open", 2, func(p *Point) (float64, bool) { return float64(p.Open), true }),
			r.series("usable", 3, func(p *Point) (float64, bool) { return float64(p.Usable), true }),
		}},
		{
			Title: "Commands per second",
			Lines: []Line{
				r.series("sent", 2, rate("sent")), r.series("acknowledged", 3, rate("acked")),
				r.series("refused", 0, rate("denied")),
			},
		},
		{Title: "Deliveries per second", Lines: []Line{r.series("delivered", 2, rate("delivered"))}},
	}
	for _, clock := range []string{"open", "back", "ack", "delivery", "delivery_slow"} {
		all = append(all, &Chart{Title: "Time " + clockTitles[clock], Unit: " ms", Lines: []Line{
			r.series("p50", 2, quantile(p50, clock)), r.series("p99", 1, quantile(p99, clock)),
		}})
	}
	var shown []*Chart
	for _, c := range all {
		if c.some() {
			c.Marks = r.phaseMarks()
			shown = append(shown, c)
		}
	}
	return shown
}

// some reports whether a chart has values other than zero.
func (c *Chart) some() bool {
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if p.Y != 0 {
				return true
			}
		}
	}
	return false
}

// phaseMarks are the beginnings of the phases.
func (r *Report) phaseMarks() []Mark {
	var marks []Mark
	at := 0.0
	for _, p := range r.Phases {
		marks = append(marks, Mark{X: at, Text: p.Name})
		at += p.Seconds
	}
	if len(marks) > 0 && marks[0].X == 0 {
		marks = marks[1:]
	}
	return marks
}

func (r *Report) countHTML() string { return AsHTML(r.countWriter().RenderHTML()) }

func (r *Report) clockHTML() string {
	t := r.clockWriter()
	if t == nil {
		return ""
	}
	return AsHTML(t.RenderHTML())
}

// AsHTML renders a go-pretty table without go-pretty's style.
func AsHTML(s string) string { return strings.Replace(s, ` class="go-pretty-table"`, "", 1) }
