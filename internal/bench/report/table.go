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

// clockTitles say what the latencies are.
var clockTitles = map[string]string{
	"open": "until a socket is in", "back": "until a socket is back", "ack": "until an answer", "delivery": "until a message is there",
	"delivery_slow": "the same, where reading stopped",
}

// countTitles say what the counts are, in the order in which they are shown.
var countTitles = []struct{ name, title string }{
	{"opened", "sockets let in"},
	{"refused", "handshakes refused"},
	{"failed", "handshakes without answer"},
	{"ended", "sockets ended by the server"},
	{"sent", "events sent"},
	{"acked", "events acknowledged"},
	{"stored", "messages among them"},
	{"denied", "events refused"},
	{"unanswered", "events without answer"},
	{"delivered", "messages delivered"},
	{"gaps", "messages passed over"},
	{"repeats", "messages twice or late"},
	{"received_bytes", "bytes received"},
}

// Table writes a report for people at a terminal.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s: %s\n", r.Title, r.Target, r.What)
	if r.Interrupted {
		b.WriteString("The run was interrupted; what follows is what it had.\n")
	}
	b.WriteString(r.countWriter().Render() + "\n")
	if t := r.clockWriter(); t != nil {
		b.WriteString(t.Render() + "\n")
	}
	if s := r.Server; s != nil {
		fmt.Fprintf(&b, "server: %s s of CPU, at most %s resident", short(s.CPUSeconds), Bytes(s.MemoryMost))
		if s.PerSocket > 0 {
			fmt.Fprintf(&b, " (%s for each socket)", Bytes(s.PerSocket))
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

// countWriter has a row for everything counted, and a column for each phase.
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

// few is the part of a latency's count below which a phase has no row in the table:
// the last answers that come in when the load is over.
const few = 0.01

// clockWriter has a row for each latency of each phase, in milliseconds; nil when
// there are none.
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
				clockTitles[clock], p.Name, Count(l.Count), short(l.Mean), short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max),
			})
		}
	}
	if rows == 0 {
		return nil
	}
	return t
}

// short is a number with about three digits.
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

// Count is a whole number with its thousands apart.
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

// Bytes is an amount of memory.
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
