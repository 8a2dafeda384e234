package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// clockTitles are the titles of the latencies.
var clockTitles = map[string]string{
	"open": "socket open", "back": "socket back", "ack": "answer", "delivery": "delivery",
	"delivery_slow": "delivery, slow readers",
}

// countTitles are the titles of the counts, in their order.
var countTitles = []struct{ name, title string }{
	{"opened", "sockets opened"},
	{"refused", "handshakes refused"},
	{"failed", "handshakes unanswered"},
	{"ended", "sockets closed by the server"},
	{"sent", "commands sent"},
	{"acked", "commands acknowledged"},
	{"stored", "  of them messages"},
	{"denied", "commands refused"},
	{"unanswered", "commands unanswered"},
	{"delivered", "messages delivered"},
	{"gaps", "messages missing"},
	{"repeats", "messages repeated or late"},
	{"received_bytes", "bytes received"},
}

// Table writes the report for a terminal.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s: %s\n", r.Title, r.Target, r.What)
	if r.Interrupted {
		b.WriteString("The run was interrupted; these are the results so far.\n")
	}
	b.WriteString(r.countWriter().Render() + "\n")
	if t := r.clockWriter(); t != nil {
		b.WriteString(t.Render() + "\n")
	}
	if s := r.Server; s != nil {
		fmt.Fprintf(&b, "server: %s s of CPU, at most %s resident", short(s.CPUSeconds), Bytes(s.MemoryMost))
		if s.PerSocket > 0 {
			fmt.Fprintf(&b, " (%s per socket)", Bytes(s.PerSocket))
		}
		fmt.Fprintf(&b, ", at most %.0f goroutines\n", s.Goroutines)
	}
	for _, f := range r.Findings {
		b.WriteString("! " + f + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newTable() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Header = text.FormatDefault
	return t
}

// countWriter returns a table with a row for each count and a column for each phase.
func (r *Report) countWriter() table.Writer {
	t := newTable()
	head := table.Row{""}
	aligned := []table.ColumnConfig{}
	for i, p := range r.Phases {
		head = append(head, fmt.Sprintf("%s (%s s)", p.Name, short(p.Seconds)))
		aligned = append(aligned, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.AppendHeader(head)
	t.SetColumnConfigs(aligned)
	for _, c := range countTitles {
		row, any := table.Row{c.title}, false
		for _, p := range r.Phases {
			n := p.Counts[c.name]
			any = any || n != 0
			row = append(row, countCell(c.name, n, p.Seconds))
		}
		if any {
			t.AppendRow(row)
		}
	}
	for _, code := range r.codes() {
		row := table.Row{"  of them " + code}
		for _, p := range r.Phases {
			row = append(row, countCell("", p.Codes[code], 0))
		}
		t.AppendRow(row)
	}
	return t
}

func (r *Report) codes() []string {
	all := make(map[string]struct{})
	for _, p := range r.Phases {
		for code := range p.Codes {
			all[code] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func countCell(name string, n int64, seconds float64) string {
	if n == 0 {
		return "-"
	}
	number := Count(n)
	if name == "received_bytes" {
		number = Bytes(float64(n))
	}
	if seconds < 0.1 {
		return number
	}
	switch name {
	case "sent", "stored", "acked", "delivered":
		return fmt.Sprintf("%s (%s/s)", number, Count(int64(math.Round(float64(n)/seconds))))
	}
	return number
}

// few is the share of a latency's count below which a phase has no row: the last
// answers, after the end of the load.
const few = 0.01

// clockWriter returns a table with a row for each latency of each phase, in
// milliseconds; nil if there is none.
func (r *Report) clockWriter() table.Writer {
	t := newTable()
	t.AppendHeader(table.Row{"milliseconds", "phase", "n", "mean", "p50", "p90", "p99", "p99.9", "max"})
	var aligned []table.ColumnConfig
	for i := 3; i <= 9; i++ {
		aligned = append(aligned, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(aligned)
	rows := 0
	for _, clock := range []string{"open", "back", "ack", "delivery", "delivery_slow"} {
		total := int64(0)
		for _, p := range r.Phases {
			total += p.Latencies[clock].Count
		}
		for _, p := range r.Phases {
			l, ok := p.Latencies[clock]
			if !ok || float64(l.Count) < few*float64(total) {
				continue
			}
			rows++
			t.AppendRow(table.Row{
				clockTitles[clock], p.Name, Count(l.Count), short(l.Mean), short(l.P50), short(l.P90), short(l.P99), short(l.P999),
				short(l.Max),
			})
		}
	}
	if rows == 0 {
		return nil
	}
	return t
}

// short formats a number with about three digits.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case math.Abs(v) < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return Count(int64(math.Round(v)))
}

// Count formats a whole number with thousands separators.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes formats a size.
func Bytes(v float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v >= u.size {
			return short(v/u.size) + " " + u.name
		}
	}
	return Count(int64(v)) + " B"
}
