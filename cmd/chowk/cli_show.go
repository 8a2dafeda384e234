package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

type showCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// shownSetting is a setting in force, as JSON.
type shownSetting struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
	Where  string `json:"where"`
}

func (cmd showCmd) run(c invocation, cfg *config) error {
	var all []shownSetting
	for _, s := range allSettings() {
		from := cfg.sources[s.Name]
		all = append(all, shownSetting{s.Name, s.Shown(&cfg.Config), string(from.kind), from.where})
	}
	if cmd.JSON {
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false) // keep & in URLs
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	return printSettings(c.out, all, cfg.file)
}

func printSettings(w io.Writer, all []shownSetting, file string) error {
	if file == "" {
		file = "none (./chowk.yaml is read if it exists)"
	}
	fmt.Fprintf(w, "Settings file: %s\n\n", file)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tVALUE\tFROM")
	for _, s := range all {
		value := fmt.Sprint(s.Value)
		if list, ok := s.Value.([]string); ok {
			value = strings.Join(list, ",")
		}
		if value == "" {
			value = "-"
		}
		from := s.Where
		if s.Source == string(fromDefault) {
			from = "default"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, value, from)
	}
	return t.Flush()
}
