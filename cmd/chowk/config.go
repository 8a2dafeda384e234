package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk"
	"github.com/chowk-chat/chowk/internal/settings"
)

// config is the settings in force, and where each comes from.
type config struct {
	chowk.Config
	file    string // the YAML file that was read, "" without one
	sources map[string]source
}

// source is where a value comes from.
type source struct {
	kind  sourceKind
	where string // as a person would look it up: chowk.yaml:3, CHOWK_LISTEN, --listen
}

type sourceKind string

const (
	fromDefault sourceKind = "default"
	inFile      sourceKind = "file"
	inEnv       sourceKind = "env"
	onLine      sourceKind = "flag" // the command line
)

// subject is how an error names the setting.
func (s source) subject(name string) string {
	switch s.kind {
	case inFile:
		return s.where + ": " + name
	case inEnv, onLine:
		return s.where
	default:
		return name
	}
}

// given is a value as text, before it is parsed.
type given struct {
	value string
	from  source
}

// allSettings returns the settings in the order in which they are shown.
func allSettings() []settings.Setting { return settings.Of[chowk.Config]() }

// loadConfig returns the settings: flags before environment variables before the file
// before the defaults. Its error reports everything that is wrong at once.
func loadConfig(flags map[string]string, environ []string, file string) (config, error) {
	c := config{Config: chowk.Defaults(), sources: make(map[string]source)}
	all := allSettings()
	env, problems := fromEnv(all, environ)
	if path := env["config"].value; file == "" && path != "" {
		file = path
	}
	fromFile, path, fileProblems := readFile(all, file)
	problems = append(problems, fileProblems...)
	c.file = path

	for _, s := range all {
		g := given{s.Default, source{fromDefault, "the default"}}
		if f, ok := fromFile[s.Name]; ok {
			g = f
		}
		if e, ok := env[s.Name]; ok {
			g = e
		}
		if f, ok := flags[s.Name]; ok {
			g = given{f, source{onLine, "--" + s.Name}}
		}
		c.sources[s.Name] = g.from
		if err := s.Set(&c.Config, g.value); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		problems = []error{c.Complete()}
	}
	return c, c.locate(errors.Join(problems...))
}

// locate says of each setting that is wrong where its value comes from.
func (c *config) locate(err error) error {
	var refused *settings.Error
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, one := range several.Unwrap() {
			located = append(located, c.locate(one))
		}
		return errors.Join(located...)
	}
	if errors.As(err, &refused) {
		return errors.New(c.sources[refused.Setting].subject(refused.Setting) + " " + refused.Reason)
	}
	return err
}

// fromEnv reads the CHOWK_ variables. An empty one counts as absent: that is how a
// compose file passes a variable that is not set.
func fromEnv(all []settings.Setting, environ []string) (map[string]given, []error) {
	// The probe's token belongs to chowk doctor and is not a setting.
	configFile, probeToken := settings.EnvName("config"), settings.EnvName("probe-token")
	names := map[string]string{configFile: "config", probeToken: "probe-token"}
	known := []string{configFile}
	for _, s := range all {
		names[s.Env] = s.Name
		known = append(known, s.Env)
	}
	found := make(map[string]given)
	var problems []error
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, settings.EnvName("")) || value == "" {
			continue
		}
		name, ok := names[key]
		switch {
		case ok:
			found[name] = given{value, source{inEnv, key}}
		case renamedInEnv(key) != nil:
			problems = append(problems, renamedInEnv(key))
		case !serviceLink(key, value):
			problems = append(problems, fmt.Errorf("%s is not a setting%s", key, didYouMean(key, known)))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return found, problems
}

var (
	serviceKey = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$`)
	portKey    = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
)

// serviceLink reports whether Kubernetes sets the variable, as it does in every
// container next to a service called chowk or chowk-something.
func serviceLink(key, value string) bool {
	return serviceKey.MatchString(key) || portKey.MatchString(key) ||
		strings.HasSuffix(key, "_PORT") && strings.Contains(value, "://")
}

// warnings returns what is allowed and unsafe in where the settings come from.
func (c *config) warnings() (all []string) {
	for _, s := range allSettings() {
		if c.sources[s.Name].kind == onLine && s.IsSecret() {
			all = append(all, "--"+s.Name+" is on the command line, which every user of this machine can read; set "+
				s.Env+" instead")
		}
	}
	return all
}

// isEmbedded reports whether the database is a file, and returns its path.
func (c *config) isEmbedded() (path string, ok bool) {
	path, ok = strings.CutPrefix(c.DatabaseURL, "sqlite:")
	return strings.TrimPrefix(path, "//"), ok
}

// requireDatabase returns an error if the database is a file that does not exist: a
// command that would create it is run in the wrong directory or without --config.
func (c *config) requireDatabase() error {
	path, ok := c.isEmbedded()
	if !ok {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no database at %s; start the server once, or pass the server's settings: "+
			"--config, --data-dir or --database-url", path)
	}
	return err
}
