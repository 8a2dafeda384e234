// Package faultresult holds the results of fault runs: test/faults writes them, and
// `chowk-lab faults-table` turns them into the table of docs/guarantees.md.
package faultresult

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/history"
)

// Result is the result of one run: a server, a database, clients, and one fault
// injected repeatedly.
type Result struct {
	Database string        `json:"database"`
	Fault    string        `json:"fault"`
	Seed     uint64        `json:"seed"`
	Clients  int           `json:"clients"`
	Load     time.Duration `json:"load_ns"` // how long the clients acted
	Times    int           `json:"times"`   // the fault was injected

	Messages   int            `json:"messages"` // acknowledged
	Changes    int            `json:"changes"`  // acknowledged, including messages
	Entries    int            `json:"entries"`  // delivered to applications
	Refused    int            `json:"refused"`
	Unknown    int            `json:"unknown"`  // attempts, before they were repeated
	Received   int            `json:"received"` // over the wire
	Repeated   int            `json:"repeated"` // over the wire
	Told       int            `json:"told"`     // channels to be reloaded
	Violations map[string]int `json:"violations"`

	// FirstAck and Resumed have an element for each fault: the time from its end to the
	// next acknowledgement, and to the moment at which 95% of the clients that had to
	// reconnect had caught up.
	FirstAck []time.Duration `json:"first_ack_ns"`
	Resumed  []time.Duration `json:"resumed_ns"`
	HandOver time.Duration   `json:"hand_over_p99_ns"` // from an ack
}

// Of returns the numbers of a report.
func Of(r *history.Report) Result {
	result := Result{
		Messages: r.Messages, Changes: r.Acked, Entries: r.Delivered, Refused: r.Refused, Unknown: r.Unknown,
		Received: r.Received, Repeated: r.Repeated, Told: r.Resyncs,
		Violations: make(map[string]int), FirstAck: r.FirstAck, Resumed: r.Resumed, HandOver: r.Staleness.P99,
	}
	for _, v := range r.Violations {
		result.Violations[string(v.Rule)] += v.Count
	}
	return result
}

// Append appends a line to a file of results.
func (r *Result) Append(file string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // anybody may read it
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// Read reads a file of results; a file that does not exist has none.
func Read(file string) ([]Result, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Result
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, result %d: %w", file, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// row sums up all runs of one fault on one database.
type row struct {
	database, fault                    string
	runs, times                        int
	messages, entries, wrong           int
	received, repeated                 int
	firstAck, resumed                  []time.Duration
	lost, twice, disordered, otherwise int
}

func (w *row) add(r *Result) {
	w.runs++
	w.times += r.Times
	w.messages += r.Messages
	w.entries += r.Entries
	w.received += r.Received
	w.repeated += r.Repeated
	w.firstAck = append(w.firstAck, r.FirstAck...)
	w.resumed = append(w.resumed, r.Resumed...)
	for rule, n := range r.Violations {
		w.wrong += n
		switch history.Rule(rule) {
		case history.Acknowledged, history.Gapless, history.NoGap, history.Complete:
			w.lost += n
		case history.OnceStored, history.SameAck, history.NoRepeat:
			w.twice += n
		case history.RealTime, history.Agreed:
			w.disordered += n
		default:
			w.otherwise += n
		}
	}
}

// Table writes results as a Markdown table, followed by a line of totals. It reports
// whether no guarantee was broken.
func Table(w io.Writer, all []Result) (kept bool, err error) {
	var rows []*row
	total := &row{}
	faults := make(map[string]bool)
	for i := range all {
		r := &all[i]
		at := slices.IndexFunc(rows, func(w *row) bool { return w.database == r.Database && w.fault == r.Fault })
		if at < 0 {
			at, rows = len(rows), append(rows, &row{database: r.Database, fault: r.Fault})
		}
		rows[at].add(r)
		total.add(r)
		faults[r.Fault] = true
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return cmp.Compare(b.database, a.database) })
	var b strings.Builder
	b.WriteString("| database | fault | runs | times | messages acked | entries delivered | violations " +
		"| to the first ack | to 95 % caught up | repeats on the wire |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %s | %s | %d | %s | %s | %.2f %% |\n", r.database, r.fault, r.runs, r.times,
			digits(r.messages),
			digits(r.entries), r.wrong, spread(r.firstAck), spread(r.resumed),
			100*float64(r.repeated)/float64(max(r.received, 1)))
	}
	fmt.Fprintf(&b, "\n**%d kinds of faults, %d runs, %d times: %s messages acknowledged and %s entries delivered; ",
		len(faults), total.runs, total.times, digits(total.messages), digits(total.entries))
	fmt.Fprintf(&b, "%d lost, %d duplicated, %d out of order, %d other violations. ",
		total.lost, total.twice, total.disordered, total.otherwise)
	fmt.Fprintf(&b, "Worst recovery %s to the first ack, %s until 95 %% were caught up.**\n",
		worst(total.firstAck), worst(total.resumed))
	_, err = io.WriteString(w, b.String())
	return total.wrong == 0, err
}

// digits formats a number with thousands separators.
func digits(n int) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// spread returns the median and the maximum.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(all))
	return fmt.Sprintf("%s / %s", brief(sorted[len(sorted)/2]), worst(all))
}

func worst(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	return brief(slices.Max(all))
}

func brief(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
