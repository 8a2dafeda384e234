package faults

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/pgtest"
)

// mains is a file system whose power can be cut: test/powercut in front of a
// directory.
type mains struct {
	t       *testing.T
	program string
	at, on  string // where it is to be seen, and the disk
	lying   bool
	cmd     *exec.Cmd
	says    *bufio.Scanner
}

// newMains makes one that is not mounted yet, or skips the test where that cannot be
// done. Everybody may get at it: PostgreSQL does not run as root.
func newMains(t *testing.T) *mains {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("only root, and with FUSE in the kernel, may mount the file system whose power is cut: %v", err)
	}
	_ = fuse.Close()
	m := &mains{t: t, program: filepath.Join(t.TempDir(), "powercut"), at: openDir(t), on: openDir(t), lying: os.Getenv("CHOWK_FAULTS_LYING") != ""}
	build := exec.Command("go", "build", "-o", m.program, ".")
	build.Dir = "../powercut"
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("test/powercut, a module of its own, cannot be built here: %v\n%s", err, out)
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
	m.cmd = exec.Command(m.program, "-at", m.at, "-disk", m.on, "-lying="+strconv.FormatBool(m.lying))
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

// cut cuts the power, and says how many bytes had been written and not flushed.
func (m *mains) cut() (lost int) {
	_ = m.cmd.Process.Signal(syscall.SIGUSR1)
	if m.says.Scan() {
		if n, err := strconv.Atoi(strings.TrimPrefix(m.says.Text(), "cut ")); err == nil {
			return n
		}
	}
	m.t.Error("the power could not be cut")
	return 0
}

// TestThePowerIsCut: the database ends with -9, and the disk has nothing but what was
// flushed. What was acknowledged was. (With CHOWK_FAULTS_LYING the disk says so a
// second before it is true, and the test has to fail.) SQLite's power is the server's as
// well; PostgreSQL has a machine of its own, and the server goes on.
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
		m := newMains(t)
		m.begin()
		cutsPower(t, m, z, sqliteFile{filepath.Join(m.at, "chowk.db")}, func(w *world) { w.server.kill() }, func(w *world) { w.server.start() })
	})
	t.Run("postgres", func(t *testing.T) {
		m := newMains(t)
		db := newPostgres(t, pgtest.StartOn(t, m.on, m.at, m.begin))
		cutsPower(t, m, z, db, func(w *world) { w.postgres().Kill() }, func(w *world) { w.postgres().Start() })
	})
}

// cutsPower is one run of power cuts: kill ends what is on the disk, start is after
// the power is back.
func cutsPower(t *testing.T, m *mains, z size, db database, kill, start func(w *world)) {
	t.Helper()
	kind := "sqlite"
	if _, is := db.(postgres); is {
		kind = "postgres"
	}
	lost, times := 0, 0
	power := fault{"power cut", kind, func(w *world, r *rand.Rand) {
		lost += m.cut()
		times++
		kill(w)
		m.unmount()
		pause(r, 0, 500*time.Millisecond)
		m.mount()
		start(w)
	}}
	play(t, kind, power.name, []fault{power}, z, db)
	t.Logf("%d power cuts took %d bytes that had not been flushed", times, lost)
	if lost == 0 {
		t.Error("the power cuts took nothing: they were no more than kills")
	}
}
