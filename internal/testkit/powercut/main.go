// Command powercut is a file system of which a power cut takes what was not
// flushed. It shows the directory given with -disk at the one given with -at. What is
// written stays in a scratch directory until its file is flushed (fsync, fdatasync);
// only then it is put on the disk. At SIGUSR1 the power is cut, as soon as files of
// which the name matches -of would lose something: from then on nothing reaches the
// disk, and every flush fails. What the programs on it wrote since their last flush is
// lost, whenever they are killed: all of it half of the times; otherwise some sectors
// had reached the disk before, in no order (but not if it lies). On SIGTERM it unmounts and ends.
//
// It says "mounted", and at a cut "cut" with how many bytes that took from files that
// match -of and from all.
//
// Names are kinder than on some disks: a file that was removed, renamed or linked is so
// at once. A new file is on the disk once it was flushed.
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
	at := flag.String("at", "", "where it is to be seen, an empty directory")
	on := flag.String("disk", "", "the disk, a directory")
	of := flag.String("of", "", "a regular expression: what must lose something when the power is cut")
	lying := flag.Bool("lying", false, "say that things are on the disk a second before they are")
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
	// With owners and modes: PostgreSQL looks at those of its directory.
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
	// A database need not run as the one who mounts.
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
		time.Sleep(50 * time.Millisecond) // somebody is still in it
	}
	return err
}

// own gives a file the owner and the mode of another.
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
