// Command chowk is the server, and what its administrator needs beside it:
// configuration from flags, environment and file, tokens for scripts, links for
// people who forgot their password.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/internal/auth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(invocation{
		args: os.Args[1:], environ: os.Environ(), out: os.Stdout, err: os.Stderr,
		serve: serve, openStore: openStore,
	}.run(ctx))
}

// command is one call of chowk, with what it touches.
type invocation struct {
	args     []string
	environ  []string
	out, err io.Writer

	serve func(ctx context.Context, cfg Config, log *slog.Logger) error
	// openStore opens the database for a command that runs beside the server.
	openStore func(ctx context.Context, cfg Config) (store auth.Store, closeStore func() error, err error)
}

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage // the command line or the configuration is wrong
)

// commands are what can be asked for, and their own flags.
type commands struct {
	Config string `name:"config" placeholder:"FILE" help:"YAML file of settings. Without it ./chowk.yaml is read if there is one."`

	Serve   struct{}   `cmd:"" help:"Run the server."`
	Show    showCmd    `cmd:"" name:"config" help:"Print every setting in force, and where it comes from."`
	Token   tokenCmd   `cmd:"" help:"Make a token for a script."`
	Invite  inviteCmd  `cmd:"" help:"Make an invitation link."`
	Reset   resetCmd   `cmd:"" name:"reset-link" help:"Make a link with which a user sets a new password."`
	Doctor  doctorCmd  `cmd:"" help:"Look at everything that the server stands on, and say what to do."`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the database while the server runs."`
	Restore restoreCmd `cmd:"" help:"Put a backup in the place of the database."`
	Health  healthCmd  `cmd:"" help:"Ask the server that runs here whether it is ready; for health checks of containers."`
	Bench   benchCmd   `cmd:"" help:"Load a server and measure what its clients see."`
	Version struct{}   `cmd:"" help:"Print the version."`
}

func (c invocation) run(ctx context.Context) int {
	if len(c.args) == 0 {
		c.args = []string{"--help"}
	}
	var cmds commands
	flags := newSettingFlags()
	exited := -1
	k, err := kong.New(&cmds,
		kong.Name("chowk"), kong.Writers(c.out, c.err), kong.Help(printHelp),
		kong.Exit(func(code int) { exited = code }),
		kong.Embed(flags.Interface()),
	)
	if err != nil {
		return c.fail(exitFailed, err)
	}
	parsed, err := k.Parse(c.args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		if renamed := renamedFlag(c.args); renamed != nil {
			return c.fail(exitUsage, renamed)
		}
		return c.fail(exitUsage, errors.New(err.Error()+"\nTry `chowk --help`."))
	}
	name, _, _ := strings.Cut(parsed.Command(), " ") // without its arguments
	if name == "version" {
		fmt.Fprintln(c.out, versionText())
		return exitOK
	}
	cfg, err := loadConfig(givenFlags(parsed, flags), c.environ, cmds.Config)
	if err != nil {
		return c.fail(exitUsage, err)
	}
	switch name {
	case "serve":
		log := newLogger(c.err, cfg.Log.Format, cfg.Log.Level)
		for _, w := range cfg.warnings() {
			log.Warn(w)
		}
		err = c.serve(ctx, cfg, log)
	case "config":
		err = cmds.Show.run(c, &cfg)
	case "backup":
		err = cmds.Backup.run(ctx, c, &cfg)
	case "restore":
		err = cmds.Restore.run(ctx, c, &cfg)
	case "health":
		err = cmds.Health.run(ctx, c, &cfg)
	case "doctor":
		return cmds.Doctor.run(ctx, c, &cfg)
	case "token":
		err = cmds.Token.run(ctx, c, &cfg)
	case "invite":
		err = cmds.Invite.run(ctx, c, &cfg)
	case "reset-link":
		err = cmds.Reset.run(ctx, c, &cfg)
	case "bench":
		err = cmds.Bench.run(ctx, c, &cfg, parsed.Command())
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return c.fail(exitFailed, err)
	}
	return exitOK
}

func (c invocation) fail(code int, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(c.err, "chowk: "+line)
	}
	return code
}

// newSettingFlags makes the struct from which kong takes a flag for each setting.
// Values stay text: the same code understands those of every source.
func newSettingFlags() reflect.Value {
	var fields []reflect.StructField
	for i, s := range settings() {
		f := reflect.StructField{Name: "F" + strconv.Itoa(i), Type: reflect.TypeFor[string]()}
		tag := fmt.Sprintf("name:%q help:%q placeholder:%q", s.name, strings.ReplaceAll(s.help, "$", "$$"), s.placeholder())
		if s.typ == reflect.TypeFor[bool]() {
			f.Type = reflect.TypeFor[bool]()
			tag += ` negatable:""`
		}
		if s.typ.Kind() == reflect.Slice {
			f.Type = reflect.TypeFor[[]string]()
		}
		if plain := strings.ReplaceAll(s.name, ".", "-"); plain != s.name {
			tag += fmt.Sprintf(" aliases:%q", plain)
		}
		f.Tag = reflect.StructTag(tag)
		fields = append(fields, f)
	}
	return reflect.New(reflect.StructOf(fields))
}

// givenFlags are the settings on the command line, by name, as text.
func givenFlags(parsed *kong.Context, flags reflect.Value) map[string]string {
	names := make(map[string]string)
	for _, p := range parsed.Path {
		if p.Flag != nil {
			names[p.Flag.Name] = p.Flag.Name
		}
	}
	found := make(map[string]string)
	for i, s := range settings() {
		if _, ok := names[s.name]; !ok {
			continue
		}
		switch v := flags.Elem().Field(i).Interface().(type) {
		case string:
			found[s.name] = v
		case bool:
			found[s.name] = strconv.FormatBool(v)
		case []string:
			found[s.name] = strings.Join(v, ",")
		}
	}
	return found
}

// version is set by the linker when a release is made.
var version string

// versionText tells what this binary was built from.
func versionText() string {
	v, commit := buildVersion()
	if commit != "" {
		commit = ", commit " + commit
	}
	return fmt.Sprintf("chowk %s%s, %s %s/%s", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
