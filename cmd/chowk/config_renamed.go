package main

import (
	"fmt"
	"strings"

	"github.com/chowk-chat/chowk/internal/settings"
)

// renamedSettings maps each name that a setting used to have to its name today. An
// old name stops the start: a setting that is silently ignored is worse.
var renamedSettings = map[string]string{
	"auth.none-anywhere":            "auth.allow-insecure",
	"journal.lanes":                 "journal.workers",
	"limits.events-burst":           "limits.commands-burst",
	"limits.events-per-second":      "limits.commands-per-second",
	"limits.message-time":           "limits.message-read-timeout",
	"limits.user-events-burst":      "limits.user-commands-burst",
	"limits.user-events-per-second": "limits.user-commands-per-second",
	"pool.timeout":                  "pool.background-timeout",
	"pool.wait":                     "pool.request-timeout",
}

// renamedInFile returns the error for a key of the settings file, nil unless it is
// an old name.
func renamedInFile(key string) error {
	name, ok := renamedSettings[key]
	if !ok {
		return nil
	}
	return fmt.Errorf("%s has been renamed to %s", key, name)
}

// renamedInEnv returns the error for an environment variable, nil unless it is that
// of an old name.
func renamedInEnv(variable string) error {
	for old, name := range renamedSettings {
		if variable == settings.EnvName(old) {
			return fmt.Errorf("%s has been renamed to %s", variable, settings.EnvName(name))
		}
	}
	return nil
}

// renamedFlag returns the error for the first old name among the arguments, nil when
// there is none. It accepts each spelling that a flag may have.
func renamedFlag(args []string) error {
	for _, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		if flag == "--" {
			break
		}
		bare, isFlag := strings.CutPrefix(flag, "--")
		if !isFlag {
			continue
		}
		bare = strings.TrimPrefix(bare, "no-")
		for old, name := range renamedSettings {
			if bare == old || bare == strings.ReplaceAll(old, ".", "-") {
				return fmt.Errorf("%s has been renamed to --%s", flag, name)
			}
		}
	}
	return nil
}
