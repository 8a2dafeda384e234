package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

const welcome = `chowk is a messaging server: channels, direct messages and their history, live
over WebSocket and REST. It is one program that needs nothing else.

Start it:

  chowk serve

and open http://127.0.0.1:8080. The first account that signs up is the
administrator's. Everything is kept in ./chowk-data: ` + "`chowk backup FILE`" + `
backs it up while chowk runs; to start anew, delete it.

Commands:
`

const afterCommands = `
Examples:
  chowk serve --listen :8080 --public-url https://chat.example.org
      Serve others, behind a proxy that ends TLS (or with --tls.cert-file and
      --tls.key-file).
  chowk serve --database-url postgres://chowk@db.internal/chowk
      Keep messages and accounts in PostgreSQL.
  CHOWK_AUTH_JWT_SECRET=... chowk serve --auth jwt
      Take the users of an application that signs tokens for them.
  chowk serve --auth none
      Try a client without accounts: a token is a user id. Loopback only.

Settings come from flags, else from CHOWK_ environment variables, else from
./chowk.yaml (or --config FILE), else from the defaults: --pool.size 20,
CHOWK_POOL_SIZE=20 and

  pool:
    size: 20

say the same. ` + "`chowk serve --help` lists them all; `chowk config`" + ` shows those in
force and where each comes from.

Help: every command has --help. Guides, questions and faults:
https://github.com/chowk-chat/chowk
`

// printHelp teaches: the program as a whole, the server with its settings, or one
// command with what is its own.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	w := ctx.Stdout
	node := ctx.Selected()
	if node == nil {
		fmt.Fprint(w, welcome)
		for _, c := range ctx.Model.Children {
			fmt.Fprintf(w, "  %-11s %s\n", c.Name, c.Help)
		}
		fmt.Fprint(w, afterCommands)
		return nil
	}
	what := "[flags]"
	if len(node.Children) > 0 {
		what = "COMMAND [flags]"
	}
	for _, p := range node.Positional {
		what = p.Summary() + " " + what
	}
	fmt.Fprintf(w, "Usage: chowk %s %s\n\n%s\n", strings.TrimSpace(node.Path()), what, node.Help)
	if node.Detail != "" {
		fmt.Fprintf(w, "\n%s\n", node.Detail)
	}
	if len(node.Children) > 0 {
		fmt.Fprint(w, "\nCommands:\n")
		for _, child := range node.Children {
			if !child.Hidden {
				fmt.Fprintf(w, "  %-13s %s\n", child.Name, child.Help)
			}
		}
	}
	if len(node.Flags) > 0 {
		fmt.Fprint(w, "\nFlags:\n")
		for _, f := range node.Flags {
			name := "--" + f.Name
			if !f.IsBool() {
				name += " " + f.FormatPlaceHolder()
			}
			printFlag(w, name, f.Help)
		}
	}
	if node.Name == "bench" || node.Parent.Name == "bench" {
		return nil
	}
	if node.Name != "serve" {
		fmt.Fprint(w, "\nIt takes the settings of the server as well, most often --config, --data-dir or\n--database-url; `chowk serve --help` lists them.\n")
		return nil
	}
	fmt.Fprint(w, "\nSettings, as flags (see `chowk --help` for the environment and the file):\n")
	printFlag(w, "--config FILE", "YAML file of settings. Without it ./chowk.yaml is read if there is one.")
	for _, s := range settings() {
		name := "--" + s.name
		if s.typ.Kind() != reflect.Bool {
			name += " " + s.placeholder()
		}
		help := s.help
		if s.defaultValue != "" {
			help += " Default " + s.defaultValue + "."
		}
		printFlag(w, name, help)
	}
	return nil
}

const (
	helpIndent = 8
	helpWidth  = 80
)

// printFlag puts a flag on one line and what it does, wrapped, below.
func printFlag(w io.Writer, name, help string) {
	fmt.Fprintf(w, "  %s\n", name)
	line := ""
	for word := range strings.FieldsSeq(help) {
		if line != "" && helpIndent+len(line)+1+len(word) > helpWidth {
			fmt.Fprintf(w, "%*s%s\n", helpIndent, "", line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	fmt.Fprintf(w, "%*s%s\n", helpIndent, "", line)
}

func (s setting) placeholder() string {
	switch {
	case len(s.enum) > 0:
		return strings.Join(s.enum, "|")
	case strings.HasSuffix(s.is, "address"):
		return "ADDRESS:PORT"
	case strings.HasSuffix(s.name, "-url"), s.is == "collector":
		return "URL"
	case strings.HasSuffix(s.name, "-file"):
		return "FILE"
	case strings.HasSuffix(s.name, "-dir"):
		return "DIR"
	case s.typ.Kind() == reflect.Slice:
		return "A,B,..."
	case s.typ.String() == "time.Duration":
		return "DURATION"
	case s.typ == reflect.TypeFor[Size]():
		return "SIZE"
	case s.typ.Kind() == reflect.Int, s.typ.Kind() == reflect.Float64:
		return "N"
	}
	return "TEXT"
}
