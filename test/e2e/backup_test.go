package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// must runs the built binary, which must succeed, and returns its output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("chowk %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fails runs the built binary, which must fail with an output that contains text.
func fails(t *testing.T, text string, args ...string) {
	t.Helper()
	if out, err := command(t, args...).CombinedOutput(); err == nil || !strings.Contains(string(out), text) {
		t.Errorf("chowk %s: %v\n%s\nwant a failure that contains %q", strings.Join(args, " "), err, out, text)
	}
}

// TestBackupUnderLoadAndRestore checks that a backup is a consistent snapshot of a
// server that keeps running, and that a restore starts a new epoch.
func TestBackupUnderLoadAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	database := "database-url=sqlite:" + filepath.Join(dir, "chowk.db")
	file := filepath.Join(dir, "backup.db")
	s := serve(t, database, "auth=none", "limits.commands-per-second=100000", "limits.commands-burst=100000")
	id := s.channel("ada", "bob")
	ada := s.dial("ada")
	first := ada.send(id, "before").Response.Seq
	epoch := ada.hello.Epoch

	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				ada.send(id, fmt.Sprint(i))
			}
		}
	})
	must(t, "backup", file, "--"+database)
	close(stop)
	sending.Wait()
	last := ada.send(id, "after").Response.Seq
	fails(t, "exists", "backup", file, "--"+database)
	fails(t, "another chowk has this database open", "restore", file, "--"+database)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: mode %v, %v; want 0600", info.Mode(), err)
	}
	s.stop()

	out := must(t, "restore", file, "--"+database)
	kept := strings.TrimSpace(out[strings.LastIndex(out, " ")+1:])
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the replaced database: %v: %s", err, out)
	}
	s = serve(t, database, "auth=none")
	bob := s.dial("bob")
	if bob.hello.Epoch == epoch {
		t.Error("the epoch did not change")
	}
	head := bob.hello.Channels[0].LastSeq
	if head < first || head >= last {
		t.Errorf("the last seq is %d; the backup was made between %d and %d", head, first, last)
	}
	bob.ok("resume", map[string]any{"epoch": epoch, "cursors": map[string]any{id: last}})
	if f := bob.expect("error", nil); f.Code != "resync" {
		t.Errorf("got %s", f.raw)
	}
	if got := s.dial("ada").send(id, "on").Response.Seq; got != head+1 {
		t.Errorf("the next seq is %d, want %d", got, head+1)
	}
	// The replaced database is kept, and is complete.
	if again := serve(t, "database-url=sqlite:"+kept, "auth=none").dial("bob").hello; again.Epoch != epoch ||
		again.Channels[0].LastSeq != last {
		t.Errorf("the kept database: epoch %s, seq %d", again.Epoch, again.Channels[0].LastSeq)
	}
}

// TestDatabaseRestoredWithCpStartsNewEpoch replaces the database file without chowk
// restore: the next start detects it, and clients must resync.
func TestDatabaseRestoredWithCpStartsNewEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, saved := filepath.Join(dir, "chowk.db"), filepath.Join(dir, "saved.db")
	database := "database-url=sqlite:" + path
	cp := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s := serve(t, database, "auth=none", "drain.window=100ms")
	id := s.channel("ada", "bob")
	s.dial("ada").send(id, "before")
	s.stop()
	cp(path, saved)

	s = serve(t, database, "auth=none", "drain.window=100ms")
	ada := s.dial("ada")
	last := ada.send(id, "after").Response.Seq
	epoch := ada.hello.Epoch
	s.stop()
	if s = serve(t, database, "auth=none", "drain.window=100ms"); s.dial("ada").hello.Epoch != epoch {
		t.Error("an ordinary restart changed the epoch")
	}
	s.stop()
	cp(saved, path)

	s = serve(t, database, "auth=none", "drain.window=100ms")
	// The copy grows beyond what bob has seen, so that only the epoch shows the difference.
	for ada := s.dial("ada"); ada.send(id, "another").Response.Seq <= last; {
	}
	bob := s.dial("bob")
	bob.ok("resume", map[string]any{"epoch": epoch, "cursors": map[string]any{id: last}})
	if f := bob.expect("error", nil); f.Code != "resync" {
		t.Errorf("got %s", f.raw)
	}
	epoch = bob.hello.Epoch
	s.stop()
	if again := serve(t, database, "auth=none", "drain.window=100ms").dial("bob").hello; again.Epoch != epoch {
		t.Error("the next restart changed the epoch again")
	}
}

func TestRestoreRefusesInvalidBackups(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	database := "--database-url=sqlite:" + filepath.Join(dir, "chowk.db")
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("junk ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "is not a complete chowk database", "restore", junk, database)
	fails(t, "is not a chowk database", "restore", empty, database)
	fails(t, "no such file", "restore", filepath.Join(dir, "none.db"), database)
	fails(t, "there is no database yet", "backup", filepath.Join(dir, "b.db"), database)
	if _, err := os.Stat(filepath.Join(dir, "chowk.db")); err == nil {
		t.Error("a database was created")
	}
}

// TestPostgresRestoreWithPgRestore restores with pg_restore and starts a new epoch
// with chowk restore --new-epoch.
func TestPostgresRestoreWithPgRestore(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("pg_dump"); err != nil {
		t.Skip("pg_dump is not installed")
	}
	url := pgtest.Database(t)
	database := "--database-url=" + url
	s := serve(t, database[2:], "auth=none")
	id := s.channel("ada", "bob")
	s.dial("ada").send(id, "before")
	epoch := s.dial("ada").hello.Epoch
	dump := filepath.Join(t.TempDir(), "chowk.dump")
	run := func(name string, args ...string) {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("pg_dump", "--format=custom", "--file="+dump, url)
	last := s.dial("ada").send(id, "after").Response.Seq
	s.stop()
	if out := must(t, "backup", "x", database); !strings.Contains(out, "pg_dump") {
		t.Error(out)
	}
	if out := must(t, "restore", "x", database); !strings.Contains(out, "chowk restore --new-epoch") {
		t.Error(out)
	}
	run("pg_restore", "--clean", "--if-exists", "--dbname="+url, dump)
	must(t, "restore", "--new-epoch", database)
	bob := serve(t, database[2:], "auth=none").dial("bob")
	if bob.hello.Epoch == epoch || bob.hello.Channels[0].LastSeq >= last {
		t.Errorf(
			"epoch %s, seq %d; want another epoch, and a smaller seq than before", bob.hello.Epoch,
			bob.hello.Channels[0].LastSeq,
		)
	}
}

// TestHealthCommand checks that chowk health exits with 0 only while the server is
// ready.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	listen := "--listen=" + strings.TrimPrefix(s.url, "http://")
	must(t, "health", listen)
	must(t, "health", "--alive", listen)
	s.stop()
	fails(t, "no server answers", "health", listen)
}
