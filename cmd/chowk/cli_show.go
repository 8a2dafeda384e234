package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

type showCmd struct {
	JSON bool `name:"json" help:"As JSON, for programs."`
}

// shownSetting is a setting in force.
type shownSetting struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
	Where  string `json:"where"`
}

func (cmd showCmd) run(c invocation, cfg *Config) error {
	var all []shownSetting
	v := reflect.ValueOf(cfg).Elem()
	for _, s := range settings() {
		from := cfg.sources[s.name]
		all = append(all, shownSetting{s.name, s.shown(v.FieldByIndex(s.index).Interface()), from.Kind, from.Where})
	}
	if cmd.JSON {
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false) // an & in a URL stays one
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	return printSettings(c.out, all, cfg.file)
}

func printSettings(w io.Writer, all []shownSetting, file string) error {
	if file == "" {
		file = "none (./chowk.yaml would be read)"
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
		if s.Source == "default" {
			from = "default"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, value, from)
	}
	return t.Flush()
}
