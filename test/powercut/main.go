// Command powercut is a file system of which a power cut takes whatever was not
// flushed. It shows the directory given with -disk at the one given with -at. What is
// written stays in a scratch directory until its file is flushed (fsync, fdatasync);
// only then it is put on the disk. At SIGUSR1 the power is cut, or with the next write if
// nothing would be lost yet: from then on nothing reaches the disk, and every flush fails. What the programs on it wrote since their
// last flush is lost, whenever they are killed. On SIGTERM it unmounts and ends.
//
// Names are kinder than on some disks: a file that was removed or renamed is so at
// once. A new file is on the disk once it was flushed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	at := flag.String("at", "", "where it is to be seen, an empty directory")
	on := flag.String("disk", "", "the disk, a directory")
	lying := flag.Bool("lying", false, "say that things are on the disk a second before they are")
	flag.Parse()
	if err := run(*at, &disk{dir: *on, lying: *lying}); err != nil {
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
	root := &fs.LoopbackRoot{Path: d.scratch}
	root.NewNode = func(*fs.LoopbackRoot, *fs.Inode, string, *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: root}, disk: d}
	}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, disk: d}
	root.RootNode = top
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM, os.Interrupt)
	server, err := fs.Mount(at, top, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, AllowOther: true, FsName: "powercut"}})
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
	for range 100 {
		if err = server.Unmount(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // somebody is still in it
	}
	return err
}

// disk is what survives.
type disk struct {
	dir, scratch string
	lying        bool

	mu    sync.Mutex    // guards what follows
	gone  bool          // the power
	armed chan struct{} // closed when a write has come that a cut takes; nil when nobody waits for one
	dirty map[string][]span
}

// span is a piece of a file that is not on the disk yet; of length -1 the file's new
// length.
type span struct{ at, n int64 }

func (d *disk) note(name string, s span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirty == nil {
		d.dirty = make(map[string][]span)
	}
	d.dirty[name] = append(d.dirty[name], s)
	if d.armed != nil && d.unflushed() > 0 {
		d.gone = true
		close(d.armed)
		d.armed = nil
	}
}

// cutAtLast is when the power is cut though nothing is lost.
const cutAtLast = 5 * time.Second

// cut cuts the power, as soon as that takes something, and says how much.
func (d *disk) cut() (bytes int64) {
	d.mu.Lock()
	if d.unflushed() == 0 {
		armed := make(chan struct{})
		d.armed = armed
		d.mu.Unlock()
		select {
		case <-armed:
		case <-time.After(cutAtLast):
		}
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	d.gone, d.armed = true, nil
	return d.unflushed()
}

// unflushed is how much is not on the disk yet of files that are ever flushed. Called
// with mu held.
func (d *disk) unflushed() (bytes int64) {
	for name, spans := range d.dirty {
		if strings.HasSuffix(name, "-shm") {
			continue // SQLite makes it anew
		}
		for _, s := range spans {
			bytes += max(s.n, 0)
		}
	}
	return bytes
}

// latency is how long a flush takes, as on a disk: most power cuts come during one.
const latency = 3 * time.Millisecond

// flush puts what is dirty of a file on the disk, in the order in which it was
// written.
func (d *disk) flush(name string) error {
	if d.isClean(name) {
		return nil
	}
	if d.lying {
		time.AfterFunc(time.Second, func() { _ = d.write(name) })
		return nil
	}
	time.Sleep(latency)
	return d.write(name)
}

// isClean says that there is nothing to flush.
func (d *disk) isClean(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.gone && len(d.dirty[name]) == 0
}

func (d *disk) write(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return syscall.EIO
	}
	from, err := os.Open(filepath.Join(d.scratch, name))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(d.dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	for _, s := range d.dirty[name] {
		if s.n < 0 {
			err = to.Truncate(s.at)
		} else {
			_, err = io.Copy(io.NewOffsetWriter(to, s.at), io.NewSectionReader(from, s.at, s.n))
		}
		if err != nil {
			return err
		}
	}
	delete(d.dirty, name)
	return nil
}

// names does the same to the disk's names as was done to the others.
func (d *disk) names(do func() error) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return syscall.EIO
	}
	if err := do(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fs.ToErrno(err)
	}
	return fs.OK
}

// node is a file or a directory.
type node struct {
	fs.LoopbackNode
	disk *disk
}

func (n *node) name() string             { return n.Path(n.Root()) }
func (n *node) child(name string) string { return filepath.Join(n.name(), name) }

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, kind, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		n.disk.note(n.name(), span{0, -1})
	}
	return &handle{f, n.disk, n.name}, kind, fs.OK
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, f, kind, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	n.disk.note(n.child(name), span{0, -1}) // be it empty, once it was flushed it is there
	made := inode
	return inode, &handle{f, n.disk, func() string { return made.Path(made.Root()) }}, kind, fs.OK
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Setattr(ctx, nil, in, out)
	if size, ok := in.GetSize(); ok && errno == fs.OK {
		n.disk.note(n.name(), span{int64(size), -1})
	}
	return errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == fs.OK {
		errno = n.disk.names(func() error { return os.Mkdir(filepath.Join(n.disk.dir, n.child(name)), 0o700) })
	}
	return inode, errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == fs.OK {
		errno = n.disk.names(func() error {
			delete(n.disk.dirty, n.child(name))
			return os.Remove(filepath.Join(n.disk.dir, n.child(name)))
		})
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := parent.(*node)
	if !ok || flags != 0 {
		return syscall.ENOTSUP
	}
	errno := n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
	if errno == fs.OK {
		errno = n.disk.names(func() error {
			from, to := n.child(name), to.child(newName)
			if spans, dirty := n.disk.dirty[from]; dirty {
				n.disk.dirty[to] = spans
			} else {
				delete(n.disk.dirty, to)
			}
			delete(n.disk.dirty, from)
			return os.Rename(filepath.Join(n.disk.dir, from), filepath.Join(n.disk.dir, to))
		})
	}
	return errno
}

// Link gives a file another name, as PostgreSQL does with new segments of its log.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	from := target.EmbeddedInode().Path(n.Root())
	inode, errno := n.LoopbackNode.Link(ctx, target, name, out)
	if errno == fs.OK {
		errno = n.disk.names(func() error {
			to := n.child(name)
			if spans, dirty := n.disk.dirty[from]; dirty {
				n.disk.dirty[to] = slices.Clone(spans)
			}
			return os.Link(filepath.Join(n.disk.dir, from), filepath.Join(n.disk.dir, to))
		})
	}
	return inode, errno
}

// Rmdir removes a directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Rmdir(ctx, name)
	if errno == fs.OK {
		errno = n.disk.names(func() error { return os.Remove(filepath.Join(n.disk.dir, n.child(name))) })
	}
	return errno
}

// Fsync flushes a file; a directory's names are on the disk already.
func (n *node) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if h, ok := f.(*handle); ok {
		return h.Fsync(ctx, flags)
	}
	return fs.OK
}

// handle is an open file. It hides the one below from the kernel, which could write
// there past us.
type handle struct {
	below fs.FileHandle
	disk  *disk
	name  func() string
}

func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return h.below.(fs.FileReader).Read(ctx, dest, off)
}

func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, errno := h.below.(fs.FileWriter).Write(ctx, data, off)
	if errno == fs.OK {
		h.disk.note(h.name(), span{off, int64(n)})
	}
	return n, errno
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	return fs.ToErrno(h.disk.flush(h.name()))
}

func (h *handle) Flush(ctx context.Context) syscall.Errno {
	return h.below.(fs.FileFlusher).Flush(ctx)
}

func (h *handle) Release(ctx context.Context) syscall.Errno {
	return h.below.(fs.FileReleaser).Release(ctx)
}

func (h *handle) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return h.below.(fs.FileGetattrer).Getattr(ctx, out)
}
