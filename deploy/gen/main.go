// Command gen writes what is generated from Go code: the Grafana dashboard, which has
// a panel for each metric, the chart's copy of the alerts, and the help texts of the
// settings. Run it with `make generate`.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/chowk-chat/chowk/internal/metric"
)

//go:generate go -C ../.. run ./deploy/gen

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate() error {
	board, err := dashboard(metric.New().Definitions)
	if err != nil {
		return err
	}
	// The chart includes the alerts, and can read only its own files.
	alerts, err := os.ReadFile("deploy/prometheus/chowk.rules.yml")
	if err != nil {
		return err
	}
	texts, err := settingsHelp("")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		path    string
		content []byte
	}{
		{"deploy/grafana/chowk.json", board},
		{"deploy/helm/chowk/chowk.rules.yml", alerts},
		{helpFile, texts},
	} {
		if err := os.WriteFile(file.path, file.content, 0o644); err != nil { //nolint:gosec // for all to read
			return err
		}
	}
	return nil
}

// section is a row of the dashboard: the metrics with one of the prefixes that no earlier
// row has.
type section struct {
	title    string
	prefixes []string
	more     []panel // of metrics that are not chowk's
}

// node restricts each query to the nodes that are selected.
const node = `job=~"$job",instance=~"$instance"`

var sections = []section{
	{"Sockets", []string{"chowk_socket", "chowk_handshake", "chowk_resumes", "chowk_draining"}, nil},
	{"Commands", []string{"chowk_command"}, nil},
	{"Journal", []string{"chowk_journal"}, nil},
	{"Hub", []string{"chowk_delivery", "chowk_hub"}, nil},
	{"Database", []string{"chowk_db", "chowk_database", "chowk_cache"}, nil},
	{"Relay between nodes", []string{"chowk_relay"}, nil},
	{"Canary and health", []string{"chowk_canary", "chowk_health", "chowk_build"}, nil},
	{"Other", []string{"chowk_"}, nil},
	{"Process", nil, []panel{
		{title: "CPU", unit: "percentunit", queries: byInstance(rate("process_cpu_seconds_total"))},
		{title: "Resident memory", unit: "bytes", queries: byInstance(gauge("process_resident_memory_bytes"))},
		{title: "File descriptors", queries: []query{
			{gauge("process_open_fds"), "open {{instance}}"}, {gauge("process_max_fds"), "limit {{instance}}"},
		}},
		{title: "Goroutines", queries: byInstance(gauge("go_goroutines"))},
		{title: "Heap", unit: "bytes", queries: byInstance(gauge("go_memstats_heap_inuse_bytes"))},
		{title: "Garbage collection", unit: "s", queries: byInstance(rate("go_gc_duration_seconds_sum"))},
	}},
}

func gauge(name string) string { return name + "{" + node + "}" }

func rate(name string) string { return "rate(" + gauge(name) + "[$__rate_interval])" }

func byInstance(expr string) []query { return []query{{expr, "{{instance}}"}} }

// sends returns the rate of sends, in all or with one result.
func sends(result string) string {
	labels := `command="new_message",`
	if result != "" {
		labels += `result="` + result + `",`
	}
	return "sum(rate(chowk_commands_total{" + labels + node + "}[$__rate_interval]))"
}

// glance is the first row.
var glance = []panel{
	{title: "Canary", stat: true, help: "1: test messages come back.", queries: []query{{
		"min(" + gauge("chowk_canary_ok") + ")", "",
	}}},
	{title: "Sockets", stat: true, queries: []query{{"sum(chowk_sockets{" + node + "})", ""}}},
	{title: "Messages a second", stat: true, queries: []query{{sends("ok"), ""}}},
	{title: "Sends refused", stat: true, unit: "percentunit", queries: []query{{
		"1 - " + sends("ok") + " / " + sends(""), "",
	}}},
	{title: "Ack, p99", stat: true, unit: "s", queries: []query{{
		quantile("0.99", "chowk_command_duration_seconds", `command="new_message",`, ""), "",
	}}},
	{title: "Delivery lag, p99", stat: true, unit: "s", queries: []query{{
		quantile("0.99", "chowk_delivery_lag_seconds", "", ""), "",
	}}},
}

func quantile(q, name, labels, by string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (le%s) (rate(%s_bucket{%s%s}[$__rate_interval])))",
		q, by, name, labels, node)
}

type query struct{ expr, legend string }

type panel struct {
	title, help, unit string
	stat              bool
	queries           []query
}

// of returns a metric's panel: a gauge as it is, a counter as a rate by its labels, a
// histogram as two quantiles.
func of(d metric.Definition) panel {
	p := panel{title: title(d), help: d.Help, unit: unit(d)}
	legend, by := "{{instance}}", "instance"
	for _, l := range d.Labels {
		legend += " {{" + l + "}}"
		by += ", " + l
	}
	switch d.Type {
	case metric.GaugeType:
		p.queries = []query{{d.Name + "{" + node + "}", legend}}
	case metric.CounterType:
		if len(d.Labels) > 0 {
			by = strings.Join(d.Labels, ", ")
			legend = "{{" + strings.Join(d.Labels, "}} {{") + "}}"
		}
		p.queries = []query{{fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", by, d.Name, node), legend}}
	case metric.HistogramType:
		by, legend = "", ""
		for _, l := range d.Labels {
			by += ", " + l
			legend += " {{" + l + "}}"
		}
		for _, q := range []string{"0.5", "0.99"} {
			p.queries = append(p.queries, query{quantile(q, d.Name, "", by), "p" + strings.TrimPrefix(q, "0.") + legend})
		}
	}
	return p
}

func title(d metric.Definition) string {
	words := strings.TrimPrefix(d.Name, "chowk_")
	words = strings.TrimSuffix(strings.TrimSuffix(words, "_total"), "_seconds")
	words = strings.ReplaceAll(words, "_", " ")
	if d.Type == metric.CounterType {
		words += " a second"
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

func unit(d metric.Definition) string {
	switch {
	case strings.HasSuffix(d.Name, "_timestamp_seconds"):
		return "dateTimeAsIso"
	case strings.HasSuffix(d.Name, "_seconds"):
		return "s"
	case strings.HasSuffix(d.Name, "_bytes"):
		return "bytes"
	case d.Type == metric.CounterType:
		return "ops"
	}
	return "short"
}

// object is a JSON object. Its keys are sorted when it is encoded, so the output is always
// the same.
type object = map[string]any

func dashboard(all []metric.Definition) ([]byte, error) {
	l := layout{source: object{"type": "prometheus", "uid": "${datasource}"}}
	l.row("At a glance")
	for _, p := range glance {
		l.add(p)
	}
	placed := make(map[string]bool)
	for _, s := range sections {
		var panels []panel
		for _, d := range all {
			if !placed[d.Name] && startsWithAny(d.Name, s.prefixes) {
				placed[d.Name] = true
				panels = append(panels, of(d))
			}
		}
		if panels = append(panels, s.more...); len(panels) == 0 {
			continue
		}
		l.row(s.title)
		for _, p := range panels {
			l.add(p)
		}
	}
	variable := func(name, label string) object {
		return object{
			"name": name, "type": "query", "datasource": l.source,
			"query":      "label_values(chowk_build_info, " + label + ")",
			"includeAll": true, "multi": true, "refresh": 2, "allValue": ".*",
			"current": object{"text": "All", "value": "$__all"},
		}
	}
	board := object{
		"title": "chowk", "uid": "chowk", "schemaVersion": 39, "tags": []string{"chowk"}, "editable": true,
		"time": object{"from": "now-1h", "to": "now"}, "refresh": "30s", "panels": l.panels,
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "prometheus"},
			variable("job", "job"), variable("instance", "instance"),
		}},
		"annotations": object{"list": []object{}},
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(board)
	return b.Bytes(), err
}

func startsWithAny(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// layout places panels on Grafana's grid of 24 columns, left to right.
type layout struct {
	source  object
	panels  []object
	x, y, h int
}

func (l *layout) row(title string) {
	l.wrap()
	l.panels = append(l.panels, object{
		"type": "row", "title": title, "id": len(l.panels) + 1, "collapsed": false, "panels": []object{},
		"gridPos": grid(0, l.y, 24, 1),
	})
	l.y++
}

func (l *layout) wrap() {
	l.x, l.y, l.h = 0, l.y+l.h, 0
}

func (l *layout) add(p panel) {
	kind, w, h := "timeseries", 8, 7
	if p.stat {
		kind, w, h = "stat", 4, 4
	}
	if l.x+w > 24 {
		l.wrap()
	}
	targets := make([]object, len(p.queries))
	for i, q := range p.queries {
		targets[i] = object{
			"refId": string(rune('A' + i)), "expr": q.expr, "legendFormat": q.legend, "datasource": l.source,
			"exemplar": !p.stat,
		}
	}
	if p.unit == "" {
		p.unit = "short"
	}
	l.panels = append(l.panels, object{
		"type": kind, "title": p.title, "description": p.help, "id": len(l.panels) + 1, "datasource": l.source,
		"targets": targets, "gridPos": grid(l.x, l.y, w, h),
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
	})
	l.x, l.h = l.x+w, max(l.h, h)
}

func grid(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }
