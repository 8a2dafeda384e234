// Command powercut is a file system that loses data in a power cut. It shows the
// directory -disk at the directory -at. Writes stay in a scratch directory until their
// file is flushed (fsync, fdatasync); only then are they written to the disk. At
// SIGUSR1 the power is cut, as soon as files whose name matches -of would lose data:
// from then on nothing reaches the disk, and every flush fails. What programs wrote
// since their last flush is lost, whenever they are killed: half of the time all of it;
// otherwise some sectors had reached the disk before, in no order (but not with
// -lying). On SIGTERM it unmounts and ends.
//
// It prints "mounted", and at a cut "cut" with the bytes lost of files that match -of,
// and of all files.
//
// Names are safer than on some disks: removing, renaming or linking a file takes effect
// at once. A new file is on the disk after its first flush.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	at := flag.String("at", "", "show the disk at this empty `directory`")
	on := flag.String("disk", "", "the disk's `directory`")
	of := flag.String("of", "", "a regular `expression` for files that must lose data when the power is cut")
	lying := flag.Bool("lying", false, "report data as flushed a second before it is")
	flag.Parse()
	watched, err := regexp.Compile(*of)
	if err == nil {
		err = run(*at, &disk{dir: *on, lying: *lying, watched: watched, dirty: make(map[string][]span)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(at string, d *disk) (err error) {
	if d.scratch, err = os.MkdirTemp("", "powercut-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.scratch)
	// With owners and modes: PostgreSQL checks those of its directory.
	if out, err := exec.Command("cp", "-a", "--", d.dir+"/.", d.scratch).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the disk: %w: %s", err, out)
	}
	root := &fusefs.LoopbackRoot{Path: d.scratch}
	root.NewNode = func(*fusefs.LoopbackRoot, *fusefs.Inode, string, *syscall.Stat_t) fusefs.InodeEmbedder {
		return &node{LoopbackNode: fusefs.LoopbackNode{RootData: root}, disk: d}
	}
	top := &node{LoopbackNode: fusefs.LoopbackNode{RootData: root}, disk: d}
	root.RootNode = top
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM, os.Interrupt)
	// A database may run as another user than the one who mounts.
	server, err := fusefs.Mount(at, top,
		&fusefs.Options{MountOptions: fuse.MountOptions{DirectMount: true, AllowOther: true, FsName: "powercut"}})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	for s := range signals {
		if s == syscall.SIGUSR1 {
			fmt.Println("cut", d.cut())
			continue
		}
		break
	}
	for range 600 {
		if err = server.Unmount(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // a program still uses it
	}
	return err
}

// own sets the owner and the mode of a file to those of another.
func own(file, like string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(like, &st); err != nil {
		return err
	}
	if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return os.Chmod(file, fs.FileMode(st.Mode)&fs.ModePerm)
}
