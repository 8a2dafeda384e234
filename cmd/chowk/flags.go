package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/internal/settings"
)

// newSettingFlags returns a pointer to a struct in which kong finds a flag for each
// setting. Values stay text: the same code parses those of all sources.
func newSettingFlags() reflect.Value {
	var fields []reflect.StructField
	for i, s := range allSettings() {
		f := reflect.StructField{Name: "F" + strconv.Itoa(i), Type: reflect.TypeFor[string]()}
		help := strings.ReplaceAll(s.Help, "$", "$$")
		tag := fmt.Sprintf("name:%q help:%q placeholder:%q", s.Name, help, placeholder(s))
		if s.Type == reflect.TypeFor[bool]() {
			f.Type = reflect.TypeFor[bool]()
			tag += ` negatable:""`
		}
		if s.Type.Kind() == reflect.Slice {
			f.Type = reflect.TypeFor[[]string]()
		}
		if plain := strings.ReplaceAll(s.Name, ".", "-"); plain != s.Name {
			tag += fmt.Sprintf(" aliases:%q", plain)
		}
		f.Tag = reflect.StructTag(tag)
		fields = append(fields, f)
	}
	return reflect.New(reflect.StructOf(fields))
}

// givenFlags returns the settings on the command line, by name, as text.
func givenFlags(parsed *kong.Context, flags reflect.Value) map[string]string {
	names := make(map[string]bool)
	for _, p := range parsed.Path {
		if p.Flag != nil {
			names[p.Flag.Name] = true
		}
	}
	found := make(map[string]string)
	for i, s := range allSettings() {
		if !names[s.Name] {
			continue
		}
		switch v := flags.Elem().Field(i).Interface().(type) {
		case string:
			found[s.Name] = v
		case bool:
			found[s.Name] = strconv.FormatBool(v)
		case []string:
			found[s.Name] = strings.Join(v, ",")
		}
	}
	return found
}

// placeholder stands for the value of a setting's flag in the help text.
func placeholder(s settings.Setting) string {
	switch {
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, "|")
	case strings.HasSuffix(s.Kind, "address"):
		return "ADDRESS:PORT"
	case strings.HasSuffix(s.Name, "-url"), s.Kind == "collector":
		return "URL"
	case strings.HasSuffix(s.Name, "-file"):
		return "FILE"
	case strings.HasSuffix(s.Name, "-dir"):
		return "DIR"
	case s.Type.Kind() == reflect.Slice:
		return "A,B,..."
	case s.Type.String() == "time.Duration":
		return "DURATION"
	case s.Kind == "bytes":
		return "SIZE"
	case s.Type.Kind() == reflect.Int, s.Type.Kind() == reflect.Float64:
		return "N"
	}
	return "TEXT"
}
