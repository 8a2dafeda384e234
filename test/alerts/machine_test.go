//go:build !windows

package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chowk-chat/chowk/internal/testkit"
)

var machineFaults = []fault{
	{
		name: "the disk fills", what: "a file system of 1.2 GiB (tmpfs) receives a file of 300 MiB",
		fires: []string{"ChowkDiskFilling"},
		setup: func(t *testing.T, st *scene) func() func() {
			if err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", t.TempDir()).Run(); err != nil {
				t.Skipf("this system does not allow mounting a file system: %v", err)
			}
			disk := t.TempDir()
			s := prepare(t, st.speed, "sqlite:"+disk+"/chowk.db")
			s.SetThrough("unshare", "-rm", "sh", "-c", fmt.Sprintf(`mount -t tmpfs -o size=1200m none %s && exec "$0" "$@"`,
				disk))
			s.start()
			st.server = s
			st.watch(t)
			return func() func() {
				// Only the server can see what it has mounted.
				file := filepath.Join(fmt.Sprintf("/proc/%d/root", s.Pid()), disk, "filler")
				fill(t, file, 300<<20)
				return func() { _ = os.Remove(file) }
			}
		},
	},
	{
		name: "descriptors run out", what: "1,845 sockets with a limit of 2,048 open files",
		fires: []string{"ChowkFileDescriptors"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := prepare(t, st.speed, sqlite(t), "--limits.sockets-per-user=0")
			s.SetThrough("sh", "-c", `ulimit -n 2048 && exec "$0" "$@"`)
			s.start()
			st.server = s
			st.watch(t)
			return func() func() {
				c := newUsers(t, s)
				c.stay(1845, user)
				return c.leave
			}
		},
	},
	{
		name: "sockets hold memory", what: "1,050 sockets that have sent the first 100 KB of a command",
		fires: []string{"ChowkMemoryPerSocket"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--limits.sockets-per-user=0", "--limits.message-bytes=1MiB",
				"--limits.partial-bytes=256MiB", "--limits.message-read-timeout=10m")
			return func() func() {
				c := newUsers(t, s)
				c.openAll(1050, func(i int) (*peer, error) { return c.half(user(i%10), 100_000) })
				return c.leave
			}
		},
	},
	{
		name: "a node does not stop", what: "`SIGTERM` with `drain.delay` 10m (not shortened here)",
		fires: []string{"ChowkDrainStuck"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--drain.delay=10m")
			return func() func() {
				s.signal(syscall.SIGTERM)
				return s.restart
			}
		},
	},
	{
		name: "an update stops half-way", what: "one of two nodes runs another version",
		fires: []string{"ChowkVersionsDiffer"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := serve(t, st.speed, sqlite(t))
			st.server = serve(t, st.speed, sqlite(t))
			st.targets = []string{s.ops, st.server.ops}
			st.watch(t)
			newer := filepath.Join(t.TempDir(), "chowk")
			if err := testkit.Build(newer, version("v1.1.0")...); err != nil {
				t.Fatal(err)
			}
			run := func(binary string) {
				s.SetBinary(binary)
				s.restart()
			}
			return func() func() {
				run(newer)
				return func() { run(testkit.Binary(t)) }
			}
		},
	},
}

// fill writes a file in which every byte takes space.
func fill(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range size / len(block) {
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
}
