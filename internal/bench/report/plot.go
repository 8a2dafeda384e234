package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart draws lines over time as SVG. The background is transparent, and the colors
// follow the reader's light or dark mode.
type Chart struct {
	Title string
	// Unit follows the numbers of the vertical axis.
	Unit  string
	Lines []Line
	// Marks are moments with a label.
	Marks []Mark
	// Limit is a dashed line with LimitText, unless it is 0.
	Limit     float64
	LimitText string
	// Values are the numbers of the vertical axis; nil for round numbers.
	Values []float64
	// MaxX and MaxY are the ends of the axes; 0 for what the points need.
	MaxX, MaxY float64
}

// Line is one line of a chart; Points are in the order of X.
type Line struct {
	Name string
	// Hue selects one of the style's colors, from 0.
	Hue int
	// Area fills the area below the line.
	Area   bool
	Points []XY
}

// XY is a point: seconds, value.
type XY struct{ X, Y float64 }

// Mark is a labeled moment.
type Mark struct {
	X       float64
	Text    string
	Centred bool // above the mark instead of to the right
}

// style is part of every drawing, so that each is complete.
const style = `
.chowk-plot{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#57606a}
.chowk-plot .title{font-size:12.5px;font-weight:600;fill:#1f2328}
.chowk-plot .head{font-size:16px;font-weight:600;fill:#1f2328}
.chowk-plot .way{font-size:15px;font-weight:600}
.chowk-plot .end{font-size:12.5px;font-weight:600;fill:#1f2328}
.chowk-plot .area{fill-opacity:.14}
.chowk-plot .grid{stroke:#d0d7de;stroke-width:1}
.chowk-plot .mark{stroke:#8c959f;stroke-width:1;stroke-dasharray:3 3}
.chowk-plot .limit{stroke:#8c959f;stroke-width:1;stroke-dasharray:6 4}
.chowk-plot .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.chowk-plot .s0{stroke:#cf222e}.chowk-plot .s1{stroke:#bf6a02}
.chowk-plot .s2{stroke:#0969da}.chowk-plot .s3{stroke:#1a7f37}
.chowk-plot .f0{fill:#cf222e}.chowk-plot .f1{fill:#bf6a02}.chowk-plot .f2{fill:#0969da}.chowk-plot .f3{fill:#1a7f37}
@media (prefers-color-scheme:dark){
.chowk-plot{fill:#9198a1}
.chowk-plot .title,.chowk-plot .head,.chowk-plot .end{fill:#f0f6fc}
.chowk-plot .grid{stroke:#3d444d}
.chowk-plot .mark,.chowk-plot .limit{stroke:#848d97}
.chowk-plot .s0{stroke:#ff7b72}.chowk-plot .s1{stroke:#e3a03a}
.chowk-plot .s2{stroke:#58a6ff}.chowk-plot .s3{stroke:#3fb950}
.chowk-plot .f0{fill:#ff7b72}.chowk-plot .f1{fill:#e3a03a}.chowk-plot .f2{fill:#58a6ff}.chowk-plot .f3{fill:#3fb950}
}
`

// Frame is the position of a chart in a drawing, in pixels.
type Frame struct{ X, Y, Width, Height float64 }

// Margins of a chart.
const (
	left, right, top, bottom = 52, 14, 34, 24
)

// SVG draws the chart as a document.
func (c *Chart) SVG(width, height float64) string {
	return Drawing(width, height, c.In(Frame{0, 0, width, height}))
}

// Label is a text in a drawing, with one of the style's classes.
func Label(class string, x, y float64, text string) string {
	return fmt.Sprintf(`<text class="%s" x="%s" y="%s">%s</text>`, class, px(x), px(y), html.EscapeString(text))
}

// Drawing returns an SVG document with its own style.
func Drawing(width, height float64, parts ...string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" class="chowk-plot" role="img">`+
		`<style>%s</style>%s</svg>`,
		px(width), px(height), style, strings.Join(parts, ""))
}

// In draws the chart into a frame of a larger drawing.
func (c *Chart) In(f Frame) string {
	var b strings.Builder
	maxX, maxY := c.ends()
	plot := Frame{f.X + left, f.Y + top, f.Width - left - right, f.Height - top - bottom}
	x := func(v float64) string { return px(plot.X + plot.Width*min(v/maxX, 1)) }
	y := func(v float64) string { return px(plot.Y + plot.Height*(1-min(v/maxY, 1))) }
	fmt.Fprintf(&b, `<text class="title" x="%s" y="%s">%s</text>`, px(f.X+left), px(f.Y+15), html.EscapeString(c.Title))
	values := c.Values
	if values == nil {
		values = ticks(maxY, 3)
	}
	for _, v := range values {
		fmt.Fprintf(&b, `<line class="grid" x1="%s" x2="%s" y1="%s" y2="%[3]s"/>`, px(plot.X), px(plot.X+plot.Width), y(v))
		fmt.Fprintf(&b, `<text x="%s" y="%s" text-anchor="end" dy="4">%s</text>`, px(plot.X-7), y(v), axis(v)+c.Unit)
	}
	for _, v := range ticks(maxX, max(int(plot.Width/90), 2)) {
		fmt.Fprintf(&b, `<text x="%s" y="%s" text-anchor="middle">%s s</text>`, x(v), px(f.Y+f.Height-6), axis(v))
	}
	if c.Limit > 0 {
		fmt.Fprintf(&b, `<line class="limit" x1="%s" x2="%s" y1="%s" y2="%[3]s"/>`+
			`<text x="%[2]s" y="%[3]s" text-anchor="end" dy="-4">%s</text>`,
			px(plot.X), px(plot.X+plot.Width), y(c.Limit), html.EscapeString(c.LimitText))
	}
	for _, m := range c.Marks {
		dx, anchor := "4", "start"
		if m.Centred {
			dx, anchor = "0", "middle"
		}
		fmt.Fprintf(&b, `<line class="mark" x1="%s" x2="%[1]s" y1="%s" y2="%s"/>`+
			`<text x="%[1]s" y="%[2]s" dx="%[4]s" dy="-5" text-anchor="%s">%s</text>`,
			x(m.X), px(plot.Y), px(plot.Y+plot.Height), dx, anchor, html.EscapeString(m.Text))
	}
	for _, l := range c.Lines {
		if len(l.Points) == 0 {
			continue
		}
		points := thin(l.Points, int(plot.Width))
		var path strings.Builder
		for _, p := range points {
			path.WriteString(x(p.X) + "," + y(p.Y) + " ")
		}
		if l.Area {
			fmt.Fprintf(&b, `<polygon class="area f%d" points="%s,%s %s%s,%[3]s"/>`, l.Hue%4, x(points[0].X), y(0),
				path.String(), x(points[len(points)-1].X))
		}
		fmt.Fprintf(&b, `<polyline class="line s%d" points="%s"/>`, l.Hue%4, strings.TrimSpace(path.String()))
	}
	c.legend(&b, f)
	return b.String()
}

// legend names the lines, if there are several, to the right of the title.
func (c *Chart) legend(b *strings.Builder, f Frame) {
	if len(c.Lines) < 2 {
		return
	}
	at := f.X + f.Width - right
	for i := len(c.Lines) - 1; i >= 0; i-- {
		l := c.Lines[i]
		fmt.Fprintf(b, `<text class="f%d" x="%s" y="%s" text-anchor="end">%s</text>`, l.Hue%4, px(at), px(f.Y+15),
			html.EscapeString(l.Name))
		at -= float64(len([]rune(l.Name)))*6.6 + 14
	}
}

func (c *Chart) ends() (maxX, maxY float64) {
	maxX, maxY = c.MaxX, max(c.MaxY, c.Limit)
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if c.MaxX == 0 {
				maxX = max(maxX, p.X)
			}
			if c.MaxY == 0 {
				maxY = max(maxY, p.Y)
			}
		}
	}
	if c.MaxY == 0 {
		maxY *= 1.06
	}
	return max(maxX, 1e-3), max(maxY, 1e-3)
}

// ticks returns about n round numbers from 0 to most.
func ticks(most float64, n int) []float64 {
	step := most / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*power >= step*0.8 {
			step = m * power
			break
		}
	}
	var all []float64
	for i := 0.0; i*step <= most*1.001; i++ {
		all = append(all, i*step)
	}
	return all
}

func axis(v float64) string {
	if v >= 10_000 {
		return strconv.FormatFloat(v/1000, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}

// thin returns at most n points, each the largest of its neighbors, so that peaks
// remain.
func thin(points []XY, n int) []XY {
	if len(points) <= n || n < 1 {
		return points
	}
	out := make([]XY, 0, n)
	for i := range n {
		part := points[i*len(points)/n : (i+1)*len(points)/n]
		best := part[0]
		for _, p := range part {
			if p.Y > best.Y {
				best = p
			}
		}
		out = append(out, best)
	}
	return out
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
