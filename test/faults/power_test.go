package faults

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// mains is a file system whose power can be cut: internal/testkit/powercut in front of
// a directory.
type mains struct {
	t       *testing.T
	program string
	at, on  string // where it is mounted, and the disk
	of      string // a regular expression for the files that a cut has to damage
	lying   bool
	cmd     *exec.Cmd
	says    *bufio.Scanner

	times     int   // the power was cut
	took, all int64 // bytes that were lost, of those files and of all
}

// newMains returns a file system that is not mounted yet, or skips the test where that
// is impossible. All users may access it: PostgreSQL does not run as root.
func newMains(t *testing.T, of string) *mains {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("only root may mount the file system whose power is cut, and the kernel needs FUSE: %v", err)
	}
	_ = fuse.Close()
	m := &mains{
		t: t, program: filepath.Join(t.TempDir(), "powercut"), at: openDir(t), on: openDir(t), of: of,
		lying: os.Getenv("CHOWK_FAULTS_LYING") != "",
	}
	build := exec.Command("go", "build", "-o", m.program, ".")
	build.Dir = "../../internal/testkit/powercut"
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("internal/testkit/powercut, a module of its own, cannot be built here: %v\n%s", err, out)
	}
	return m
}

func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chowk-power-")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // of nothing secret
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// begin mounts it until the test ends.
func (m *mains) begin() {
	m.t.Helper()
	m.mount()
	m.t.Cleanup(m.unmount)
}

func (m *mains) mount() {
	m.t.Helper()
	m.cmd = exec.Command(m.program, "-at", m.at, "-disk", m.on, "-of", m.of, "-lying="+strconv.FormatBool(m.lying))
	m.cmd.Stderr = os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.says = bufio.NewScanner(out)
	if !m.says.Scan() || m.says.Text() != "mounted" {
		m.t.Fatalf("the file system cannot be mounted: %v", m.cmd.Wait())
	}
}

func (m *mains) unmount() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("unmount: %v", err)
		_ = syscall.Unmount(m.at, syscall.MNT_DETACH)
	}
}

// cut cuts the power, and adds up how many bytes had been written but not flushed.
func (m *mains) cut() {
	_ = m.cmd.Process.Signal(syscall.SIGUSR1)
	var took, all int64
	if m.says.Scan() {
		if n, _ := fmt.Sscanf(m.says.Text(), "cut %d %d", &took, &all); n == 2 {
			m.times++
			m.took += took
			m.all += all
			return
		}
	}
	m.t.Error("the power could not be cut")
}

// TestThePowerIsCut: the database is killed, and the disk has only what was flushed,
// and perhaps some sectors of what was not. What was acknowledged had been flushed.
// (With CHOWK_FAULTS_LYING the disk reports flushes a second too early, and the test
// has to fail.) SQLite's power is the server's as well; PostgreSQL has a machine of its
// own, and the server goes on. Every cut comes while part of the log that a commit
// depends on is not flushed.
func TestThePowerIsCut(t *testing.T) {
	z := short
	z.time = 6 * time.Second
	alone := isLong(t)
	if alone {
		z = long
	} else {
		t.Parallel()
	}
	t.Run("sqlite", func(t *testing.T) {
		if !alone {
			t.Parallel()
		}
		m := newMains(t, `\.db-wal$`)
		m.begin()
		cutsPower(t, m, z, sqliteFile{filepath.Join(m.at, "chowk.db")}, func(w *world) { w.server.kill() },
			func(w *world) { w.server.start() })
	})
	t.Run("postgres", func(t *testing.T) {
		if !alone {
			t.Parallel()
		}
		m := newMains(t, `/pg_wal/[0-9A-F]{24}$`)
		// With little memory and WAL, pages are written early, and WAL files are reused.
		pg := pgtest.StartOn(t, m.on, m.at, m.begin, "shared_buffers=4MB", "min_wal_size=2MB", "max_wal_size=8MB",
			"recovery_init_sync_method=syncfs") // nothing is dirty of what was just mounted
		db := postgres{server: pg, name: "postgres"} // another database is 300 more files to mount each time
		cutsPower(t, m, z, db, func(w *world) { w.postgres().Kill() }, func(w *world) { w.postgres().Start() })
	})
}

// cutsPower is one run of power cuts: kill ends the database on the disk, start runs
// after the power is back.
func cutsPower(t *testing.T, m *mains, z size, db database, kill, start func(w *world)) {
	t.Helper()
	kind := "sqlite"
	if _, is := db.(postgres); is {
		kind = "postgres"
	}
	power := fault{"power cut", kind, func(w *world, r *rand.Rand) {
		m.cut()
		kill(w)
		m.unmount()
		pause(r, 0, 500*time.Millisecond)
		m.mount()
		start(w)
		if t.Failed() {
			t.FailNow() // all clients would retry for minutes
		}
	}}
	play(t, kind, power.name, []fault{power}, z, db)
	t.Logf("%d power cuts lost %d bytes that had not been flushed, %d of them of %s", m.times, m.all, m.took, m.of)
	if m.took == 0 {
		t.Error("the power cuts lost nothing: they were only kills")
	}
}
