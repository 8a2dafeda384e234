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

// section is a row of the dashboard: the metrics whose names start with one of the
// prefixes, and no earlier row has.
type section struct {
	title    string
	prefixes []string
	more     []panel // about numbers that are not ours
}

// node is how everything is narrowed down to what is looked at.
const node = `job=~"$job",instance=~"$instance"`

var sections = []section{
	{"Sockets", []string{"chowk_socket", "chowk_handshake", "chowk_resumes", "chowk_draining"}, nil},
	{"Commands", []string{"chowk_command"}, nil},
	{"Journal: the way in", []string{"chowk_journal"}, nil},
	{"Hub: the way out", []string{"chowk_delivery", "chowk_hub"}, nil},
	{"Database", []string{"chowk_db", "chowk_database", "chowk_cache"}, nil},
	{"Nodes: what goes between them", []string{"chowk_relay"}, nil},
	{"Canary and health", []string{"chowk_canary", "chowk_health", "chowk_build"}, nil},
	{"Other", []string{"chowk_"}, nil},
	{"Process", nil, []panel{
		{title: "CPU", unit: "percentunit", queries: []query{{"rate(process_cpu_seconds_total{" + node + "}[$__rate_interval])", "{{instance}}"}}},
		{title: "Resident memory", unit: "bytes", queries: []query{{"process_resident_memory_bytes{" + node + "}", "{{instance}}"}}},
		{title: "File descriptors", queries: []query{{"process_open_fds{" + node + "}", "open {{instance}}"}, {"process_max_fds{" + node + "}", "most {{instance}}"}}},
		{title: "Goroutines", queries: []query{{"go_goroutines{" + node + "}", "{{instance}}"}}},
		{title: "Heap", unit: "bytes", queries: []query{{"go_memstats_heap_inuse_bytes{" + node + "}", "{{instance}}"}}},
		{title: "Garbage collection", unit: "s", queries: []query{{"rate(go_gc_duration_seconds_sum{" + node + "}[$__rate_interval])", "{{instance}}"}}},
	}},
}

// glance is what to look at first.
var glance = []panel{
	{title: "Canary", stat: true, help: "1: messages come back.", queries: []query{{"min(chowk_canary_ok{" + node + "})", ""}}},
	{title: "Sockets", stat: true, queries: []query{{"sum(chowk_sockets{" + node + "})", ""}}},
	{title: "Messages a second", stat: true, queries: []query{{`sum(rate(chowk_commands_total{command="new_message",result="ok",` + node + `}[$__rate_interval]))`, ""}}},
	{title: "Sends refused", stat: true, unit: "percentunit", queries: []query{{
		`1 - sum(rate(chowk_commands_total{command="new_message",result="ok",` + node + `}[$__rate_interval])) / sum(rate(chowk_commands_total{command="new_message",` + node + `}[$__rate_interval]))`, "",
	}}},
	{title: "Ack, p99", stat: true, unit: "s", queries: []query{{quantile("0.99", "chowk_command_duration_seconds", `command="new_message",`, ""), ""}}},
	{title: "Delivery lag, p99", stat: true, unit: "s", queries: []query{{quantile("0.99", "chowk_delivery_lag_seconds", "", ""), ""}}},
}

func quantile(q, name, labels, by string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (le%s) (rate(%s_bucket{%s%s}[$__rate_interval])))", q, by, name, labels, node)
}

type query struct{ expr, legend string }

type panel struct {
	title, help, unit string
	stat              bool
	queries           []query
}

// of makes a metric's panel: a gauge as it is, a counter as a rate by its labels, a
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

// object is JSON that Grafana reads; encoding sorts its keys, so that the output is
// always the same.
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
			"name": name, "type": "query", "datasource": l.source, "query": "label_values(chowk_build_info, " + label + ")",
			"includeAll": true, "multi": true, "refresh": 2, "allValue": ".*", "current": object{"text": "All", "value": "$__all"},
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

// layout puts panels on Grafana's grid of 24 columns, left to right.
type layout struct {
	source  object
	panels  []object
	x, y, h int
}

func (l *layout) row(title string) {
	l.wrap()
	l.panels = append(l.panels, object{"type": "row", "title": title, "id": len(l.panels) + 1, "collapsed": false, "panels": []object{}, "gridPos": grid(0, l.y, 24, 1)})
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
		targets[i] = object{"refId": string(rune('A' + i)), "expr": q.expr, "legendFormat": q.legend, "datasource": l.source, "exemplar": !p.stat}
	}
	if p.unit == "" {
		p.unit = "short"
	}
	l.panels = append(l.panels, object{
		"type": kind, "title": p.title, "description": p.help, "id": len(l.panels) + 1, "datasource": l.source, "targets": targets,
		"gridPos": grid(l.x, l.y, w, h), "fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
	})
	l.x, l.h = l.x+w, max(l.h, h)
}

func grid(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }
