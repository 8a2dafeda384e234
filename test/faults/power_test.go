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

// newMains mounts one, or skips the test where that cannot be done.
func newMains(t *testing.T) *mains {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("only root, and with FUSE in the kernel, may mount the file system whose power is cut: %v", err)
	}
	_ = fuse.Close()
	m := &mains{t: t, program: filepath.Join(t.TempDir(), "powercut"), at: t.TempDir(), on: t.TempDir(), lying: os.Getenv("CHOWK_FAULTS_LYING") != ""}
	build := exec.Command("go", "build", "-o", m.program, ".")
	build.Dir = "../powercut"
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("test/powercut, a module of its own, cannot be built here: %v\n%s", err, out)
	}
	m.mount()
	t.Cleanup(m.unmount)
	return m
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

// TestThePowerIsCut: the server ends with -9, and the disk has nothing but what was
// flushed. What was acknowledged was. (With CHOWK_FAULTS_LYING the disk says so a
// second before it is true, and the test has to fail.)
func TestThePowerIsCut(t *testing.T) {
	z := short
	z.time = 6 * time.Second
	if isLong(t) {
		z = long
	} else {
		t.Parallel()
	}
	m := newMains(t)
	lost, times := 0, 0
	power := fault{"power cut", "sqlite", func(w *world, r *rand.Rand) {
		lost += m.cut()
		times++
		w.server.kill()
		m.unmount()
		pause(r, 0, 500*time.Millisecond)
		m.mount()
		w.server.start()
	}}
	play(t, "sqlite", power.name, []fault{power}, z, sqliteFile{filepath.Join(m.at, "chowk.db")})
	t.Logf("%d power cuts took %d bytes that had not been flushed", times, lost)
	if lost == 0 {
		t.Error("the power cuts took nothing: they were no more than kills")
	}
}
