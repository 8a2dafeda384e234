// Command chowk is the server, together with what its administrator needs: settings
// from flags, the environment and a file, tokens for scripts, invitations, backups and
// checks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/buildinfo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(invocation{
		args: os.Args[1:], environ: os.Environ(), out: os.Stdout, err: os.Stderr,
		serve: serve, openStore: openStore,
	}.run(ctx))
}

// invocation is one call of chowk, with everything it reads and writes.
type invocation struct {
	args     []string
	environ  []string
	out, err io.Writer

	serve func(ctx context.Context, cfg *config, log *slog.Logger) error
	// openStore opens the database for a command that runs next to the server.
	openStore func(ctx context.Context, cfg *config) (store auth.Store, closeStore func() error, err error)
}

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage // the command line or the settings are wrong
)

// commands are the commands with their own flags, in the order of the help text.
type commands struct {
	Config      string           `name:"config" placeholder:"FILE" help:"${config_help}"`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Serve   struct{}   `cmd:"" help:"Run the server."`
	Show    showCmd    `cmd:"" name:"config" help:"Print every setting in force and where it comes from."`
	Token   tokenCmd   `cmd:"" help:"Create a token for a script."`
	Invite  inviteCmd  `cmd:"" help:"Create an invitation link."`
	Reset   resetCmd   `cmd:"" name:"reset-link" help:"Create a link with which a user sets a new password."`
	Doctor  doctorCmd  `cmd:"" help:"Check everything the server depends on, and say what to fix."`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the database while the server runs."`
	Restore restoreCmd `cmd:"" help:"Restore the database from a backup."`
	Health  healthCmd  `cmd:"" help:"Check whether the server here is ready; for container health checks."`
	Bench   benchCmd   `cmd:"" help:"Load a server and measure what its clients see."`
	Version struct{}   `cmd:"" help:"Print the version."`
}

const configHelp = "YAML file of settings. Defaults to ./chowk.yaml if that exists."

func (c invocation) run(ctx context.Context) int {
	switch {
	case len(c.args) == 0:
		c.args = []string{"--help"}
	case c.args[0] == "help":
		c.args = append(c.args[1:len(c.args):len(c.args)], "--help")
	}
	var cmds commands
	flags := newSettingFlags()
	exited := -1
	k, err := kong.New(&cmds,
		kong.Name("chowk"), kong.Writers(c.out, c.err), kong.Help(printHelp),
		kong.Vars{"version": versionText(), "config_help": configHelp}, benchHelp, doctorHelp,
		kong.Exit(func(code int) { exited = code }),
		kong.Embed(flags.Interface()),
	)
	if err != nil {
		return c.fail(exitFailed, err)
	}
	parsed, err := k.Parse(c.args)
	if exited >= 0 { // --help or --version has been printed
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
	if name == "doctor" {
		return cmds.Doctor.run(ctx, c, &cfg)
	}
	if err := c.execute(ctx, name, &cmds, parsed.Command(), &cfg); err != nil && !errors.Is(err, context.Canceled) {
		return c.fail(exitFailed, err)
	}
	return exitOK
}

// execute runs the command called name. line is the whole of it, with what follows.
func (c invocation) execute(ctx context.Context, name string, cmds *commands, line string, cfg *config) error {
	switch name {
	case "serve":
		log := newLogger(c.err, cfg.Log.Format, cfg.Log.Level)
		for _, w := range cfg.warnings() {
			log.Warn(w)
		}
		return c.serve(ctx, cfg, log)
	case "config":
		return cmds.Show.run(c, cfg)
	case "backup":
		return cmds.Backup.run(ctx, c, cfg)
	case "restore":
		return cmds.Restore.run(ctx, c, cfg)
	case "health":
		return cmds.Health.run(ctx, c, cfg)
	case "token":
		return cmds.Token.run(ctx, c, cfg)
	case "invite":
		return cmds.Invite.run(ctx, c, cfg)
	case "reset-link":
		return cmds.Reset.run(ctx, c, cfg)
	case "bench":
		return cmds.Bench.run(ctx, c, cfg, line)
	}
	return fmt.Errorf("the command %s does nothing", name)
}

func (c invocation) fail(code int, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(c.err, "chowk: "+line)
	}
	return code
}

func (c invocation) print(line string) error {
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// version is set by the linker in a release.
var version string

// versionText returns what this binary was built from, as a line.
func versionText() string {
	v, commit := buildinfo.Version(version)
	if commit != "" {
		commit = ", commit " + commit
	}
	return fmt.Sprintf("chowk %s%s, %s %s/%s", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
