package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

const welcome = `chowk is a messaging server: channels, direct messages and their history, live
over WebSocket and REST. It is a single binary with no dependencies.

Start it:

  chowk serve

and open http://127.0.0.1:8080. The first account becomes the administrator. All
data is in ./chowk-data: ` + "`chowk backup FILE`" + ` backs it up while chowk runs; to start
over, delete that directory.

Commands:
`

const afterCommands = `
Examples:
  chowk serve --listen :8080 --public-url https://chat.example.org
      Serve others, behind a proxy that terminates TLS (or with --tls.cert-file and
      --tls.key-file).
  chowk serve --database-url postgres://chowk@db.internal/chowk
      Keep messages and accounts in PostgreSQL.
  CHOWK_AUTH_JWT_SECRET=... chowk serve --auth jwt
      Accept users whose tokens are signed by your application.
  chowk serve --auth none
      Try a client without accounts: a token is a user id. Loopback only.

Settings come from flags, CHOWK_ environment variables, ./chowk.yaml (or --config
FILE) and the defaults, in this order: --pool.size 20, CHOWK_POOL_SIZE=20 and

  pool:
    size: 20

mean the same. ` + "`chowk serve --help` lists all settings; `chowk config`" + ` shows those
in force and where each comes from.

Help: every command has --help. Documentation and issues:
https://github.com/chowk-chat/chowk
`

const afterFlags = `
It also accepts the server's settings, usually --config, --data-dir or
--database-url; ` + "`chowk serve --help`" + ` lists them.
`

// printHelp prints the help of the program as a whole, of the server with its settings,
// or of one command with its own flags.
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
	printUsage(w, node)
	printCommands(w, node.Children)
	printFlags(w, node.Flags)
	switch {
	case node.Name == "serve":
		printSettingFlags(w)
	case node.Name != "version" && node.Name != "bench" && node.Parent.Name != "bench":
		fmt.Fprint(w, afterFlags)
	}
	return nil
}

func printUsage(w io.Writer, node *kong.Node) {
	after := "[flags]"
	if len(node.Children) > 0 {
		after = "COMMAND [flags]"
	}
	for _, p := range node.Positional {
		after = p.Summary() + " " + after
	}
	fmt.Fprintf(w, "Usage: chowk %s %s\n\n%s\n", strings.TrimSpace(node.Path()), after, node.Help)
	if node.Detail != "" {
		fmt.Fprintf(w, "\n%s\n", node.Detail)
	}
}

func printCommands(w io.Writer, all []*kong.Node) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(w, "\nCommands:\n")
	for _, c := range all {
		if !c.Hidden {
			fmt.Fprintf(w, "  %-13s %s\n", c.Name, c.Help)
		}
	}
}

func printFlags(w io.Writer, all []*kong.Flag) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(w, "\nFlags:\n")
	for _, f := range all {
		name := "--" + f.Name
		if !f.IsBool() {
			name += " " + f.FormatPlaceHolder()
		}
		printFlag(w, name, withDefault(f.Help, f.Default))
	}
}

func printSettingFlags(w io.Writer) {
	fmt.Fprint(w, "\nSettings, as flags (`chowk --help` describes environment variables and the file):\n")
	printFlag(w, "--config FILE", configHelp)
	for _, s := range allSettings() {
		name := "--" + s.Name
		if s.Type.Kind() != reflect.Bool {
			name += " " + placeholder(s)
		}
		printFlag(w, name, withDefault(s.Help, s.Default))
	}
}

func withDefault(help, value string) string {
	if value == "" {
		return help
	}
	return help + " Default " + value + "."
}

const (
	helpIndent = 8
	helpWidth  = 80
)

// printFlag prints a flag on one line, and below it, wrapped, what it does.
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
