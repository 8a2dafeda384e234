// Package settings reads what a configuration's struct says about its settings: the
// tags of a field hold its name, default, bounds and kind, and its comment, which
// deploy/gen writes into help.gen.go, is its help. Values are set and checked as
// text here, whether they come from a flag, a variable, a file or a Go program.
package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const envPrefix = "CHOWK_"

// Setting is one field of a configuration.
type Setting struct {
	Name    string   // key in the settings file; after --, the flag
	Env     string   // environment variable
	Default string   // as text; "" is the zero value
	Help    string   // one or more sentences
	Enum    []string // the values it may have; none means any
	Kind    string   // of text, or bytes for a size; see kinds
	Type    reflect.Type

	min, max string // inclusive, as text; of numbers only
	secret   secrecy
	index    []int
}

// secrecy says which part of a value is hidden.
type secrecy string

const (
	secretAll secrecy = "all"
	secretURL secrecy = "url" // the password in it
)

// Of returns the settings of a configuration's type in the order of its fields.
func Of[Config any]() []Setting { return settingsOf(reflect.TypeFor[Config](), nil) }

func settingsOf(t reflect.Type, at []int) (all []Setting) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(at), i)
		name := f.Tag.Get("name")
		switch {
		case name == "" && f.IsExported() && f.Type.Kind() == reflect.Struct:
			all = append(all, settingsOf(f.Type, index)...)
			continue
		case name == "":
			continue
		}
		s := Setting{
			Name: name, Env: EnvName(name), Default: f.Tag.Get("default"), Help: help[name],
			Kind: f.Tag.Get("is"), Type: f.Type,
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), secret: secrecy(f.Tag.Get("secret")), index: index,
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			s.Enum = strings.Split(enum, ",")
		}
		all = append(all, s)
	}
	return all
}

// EnvName returns the environment variable of the setting called name.
func EnvName(name string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// IsSecret reports whether no part of the value may be shown.
func (s Setting) IsSecret() bool { return s.secret == secretAll }

// HasSecret reports whether a part of the value may not be shown.
func (s Setting) HasSecret() bool { return s.secret != "" }

// Bounds returns the least and the greatest value, "" for what is not a number.
func (s Setting) Bounds() (low, high string) { return s.min, s.max }

// field returns the setting's field in the configuration that config points to.
func (s Setting) field(config any) reflect.Value {
	return reflect.ValueOf(config).Elem().FieldByIndex(s.index)
}

// Set parses text into the field of config, a pointer to a configuration. Its error
// is an *[Error].
func (s Setting) Set(config any, text string) error {
	err := s.set(s.field(config), text)
	if err == nil {
		return nil
	}
	value := ", not " + strconv.Quote(text)
	if s.secret != "" {
		value = " (value hidden)"
	}
	return &Error{s.Name, "must be " + err.Error() + value}
}

// Error is a setting whose value is refused.
type Error struct {
	Setting string // its name
	Reason  string // what follows the name in a sentence
}

// Error implements the error interface.
func (e *Error) Error() string { return e.Setting + " " + e.Reason }

// SetDefaults sets each field of config that is zero, where config is a pointer to a
// configuration.
func SetDefaults[Config any](config *Config) {
	for _, s := range Of[Config]() {
		if field := s.field(config); s.Default != "" && field.IsZero() {
			if err := s.set(field, s.Default); err != nil {
				panic(fmt.Sprintf("the default of %s must be %v", s.Name, err)) // a test reads all defaults
			}
		}
	}
}

// Check checks each value of config, and brings texts into their usual spelling. It
// returns an *[Error] for each value that is refused.
func Check[Config any](config *Config) (problems []error) {
	for _, s := range Of[Config]() {
		if err := s.Set(config, s.text(config)); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}
