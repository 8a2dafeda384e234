package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// source is where a value comes from.
type source struct {
	Kind  string // default, file, env or flag
	Where string // how a person would find it: chowk.yaml:3, CHOWK_LISTEN, --listen
}

const envPrefix = "CHOWK_"

// setting is one line of Config.
type setting struct {
	name, env          string // the name is the flag as well
	defaultValue, help string
	enum               []string
	min, max, is       string
	secret             string // "", all or url
	index              []int  // of the field
	typ                reflect.Type
}

// settings lists the lines of Config in their order.
func settings() []setting { return settingsOf(reflect.TypeFor[Config](), nil) }

func settingsOf(t reflect.Type, at []int) (all []setting) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(at), i)
		name := f.Tag.Get("name")
		if name == "" {
			if f.IsExported() {
				all = append(all, settingsOf(f.Type, index)...)
			}
			continue
		}
		s := setting{
			name: name, env: envName(name),
			defaultValue: f.Tag.Get("default"), help: f.Tag.Get("help"),
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), is: f.Tag.Get("is"),
			secret: f.Tag.Get("secret"), index: index, typ: f.Type,
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			s.enum = strings.Split(enum, ",")
		}
		all = append(all, s)
	}
	return all
}

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// given is a value as text, before it is understood.
type given struct {
	value string
	from  source
}

// loadConfig puts flags above the environment above the file above the defaults.
// It reports everything that is wrong at once.
func loadConfig(flags map[string]string, environ []string, file string) (Config, error) {
	c := Config{sources: make(map[string]source)}
	all := settings()
	env, problems := fromEnv(all, environ)
	if path := env["config"].value; file == "" && path != "" {
		file = path
	}
	inFile, path, fileProblems := fromFile(all, file)
	problems = append(problems, fileProblems...)
	c.file = path

	v := reflect.ValueOf(&c).Elem()
	for _, s := range all {
		g := given{s.defaultValue, source{Kind: "default", Where: "the default"}}
		if f, ok := inFile[s.name]; ok {
			g = f
		}
		if e, ok := env[s.name]; ok {
			g = e
		}
		if f, ok := flags[s.name]; ok {
			g = given{f, source{Kind: "flag", Where: "--" + s.name}}
		}
		c.sources[s.name] = g.from
		if err := s.set(v.FieldByIndex(s.index), g.value); err != nil {
			problems = append(problems, s.problem(g, err))
		}
	}
	if len(problems) == 0 {
		problems = c.complete()
	}
	return c, errors.Join(problems...)
}

// problem names the key, the value and what is allowed.
func (s setting) problem(g given, err error) error {
	value := strconv.Quote(g.value)
	if s.secret != "" {
		value = "not shown here"
	}
	return fmt.Errorf("%s: %s is %s, but must be %w", g.from.Where, s.name, value, err)
}

// fromEnv takes the CHOWK_ variables. An empty one is as good as none: that is
// what a compose file makes of a variable that is not set.
func fromEnv(all []setting, environ []string) (map[string]given, []error) {
	// The probe's token is chowk doctor's own, and no setting.
	names := map[string]string{envPrefix + "CONFIG": "config", envPrefix + "PROBE_TOKEN": "probe-token"}
	known := []string{envPrefix + "CONFIG"}
	for _, s := range all {
		names[s.env] = s.name
		known = append(known, s.env)
	}
	found := make(map[string]given)
	var problems []error
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, envPrefix) || value == "" {
			continue
		}
		name, ok := names[key]
		switch {
		case ok:
			found[name] = given{value, source{Kind: "env", Where: key}}
		case renamedInEnv(key) != nil:
			problems = append(problems, renamedInEnv(key))
		case !serviceLink(key, value):
			problems = append(problems, fmt.Errorf("%s: no such setting%s", key, didYouMean(key, known)))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return found, problems
}

var (
	serviceKey = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$`)
	portKey    = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
)

// serviceLink recognises the variables that Kubernetes sets in every container
// next to a service called chowk, or chowk-something.
func serviceLink(key, value string) bool {
	return serviceKey.MatchString(key) || portKey.MatchString(key) ||
		strings.HasSuffix(key, "_PORT") && strings.Contains(value, "://")
}

// didYouMean proposes the nearest of the known words, when one is near.
func didYouMean(word string, known []string) string {
	best, distance := "", max(2, len(word)/4)+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; `chowk config` lists them all"
	}
	return "; did you mean " + best + "?"
}

// editDistance counts the letters to add, drop, change or swap with a neighbour.
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
