package main

import (
	"context"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory.
type node struct {
	fs.LoopbackNode
	disk *disk
}

func (n *node) child(name string) string { return filepath.Join(n.Path(n.Root()), name) }

// nameOf returns a file's name, unless the file was removed and is only open.
func nameOf(n *fs.Inode) (string, bool) {
	if _, parent := n.Parent(); parent == nil {
		return "", false
	}
	return n.Path(n.Root()), true
}

func (n *node) note(s span) {
	if name, ok := nameOf(n.EmbeddedInode()); ok {
		n.disk.note(name, s)
	}
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, kind, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		n.note(span{0, -1})
	}
	return &handle{f, n.disk, n.EmbeddedInode()}, kind, fs.OK
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode,
	fs.FileHandle, uint32, syscall.Errno,
) {
	inode, f, kind, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		n.disk.note(n.child(name), span{0, -1})
	}
	return inode, &handle{f, n.disk, inode}, kind, fs.OK
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if h, ok := f.(*handle); ok {
		f = h.below // a removed file has nothing else
	}
	errno := n.LoopbackNode.Setattr(ctx, f, in, out)
	if size, ok := in.GetSize(); ok && errno == fs.OK {
		n.note(span{int64(size), -1})
	}
	return errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	inode, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == fs.OK {
		errno = n.disk.mkdir(n.child(name))
	}
	return inode, errno
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Rmdir(ctx, name)
	if errno == fs.OK {
		errno = n.disk.remove(n.child(name))
	}
	return errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == fs.OK {
		errno = n.disk.remove(n.child(name))
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string,
	flags uint32,
) syscall.Errno {
	to, ok := parent.(*node)
	if !ok || flags != 0 {
		return syscall.ENOTSUP
	}
	errno := n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
	if errno == fs.OK {
		errno = n.disk.rename(n.child(name), to.child(newName))
	}
	return errno
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode,
	syscall.Errno,
) {
	from, ok := nameOf(target.EmbeddedInode())
	if !ok {
		return nil, syscall.ENOENT
	}
	inode, errno := n.LoopbackNode.Link(ctx, target, name, out)
	if errno == fs.OK {
		errno = n.disk.link(from, n.child(name))
	}
	return inode, errno
}

// Symlink is not supported: the disk would not have the link.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

// Mknod is not supported: the disk would not have the node.
func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.ENOTSUP
}

// handle is an open file. It hides the file below from the kernel, which could
// otherwise write to it directly.
type handle struct {
	below fs.FileHandle
	disk  *disk
	inode *fs.Inode
}

func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return h.below.(fs.FileReader).Read(ctx, dest, off)
}

func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, errno := h.below.(fs.FileWriter).Write(ctx, data, off)
	if name, ok := nameOf(h.inode); ok && errno == fs.OK {
		h.disk.note(name, span{off, int64(n)})
	}
	return n, errno
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	return fs.ToErrno(h.disk.flush(func() (string, bool) { return nameOf(h.inode) }))
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
