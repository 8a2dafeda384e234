package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
)

// disk is what survives a power cut.
type disk struct {
	dir, scratch string
	lying        bool
	watched      *regexp.Regexp // the names of the files that a cut has to damage

	mu    sync.Mutex    // guards what follows
	gone  bool          // the power is off
	armed chan struct{} // closed by a write that a cut would lose; nil if nothing waits for one
	dirty map[string][]span
}

// span is a part of a file that is not on the disk yet; with length -1, the file's new
// length.
type span struct{ at, n int64 }

func (d *disk) note(name string, s span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return // what was lost is counted
	}
	d.dirty[name] = append(d.dirty[name], s)
	if d.armed != nil && s.n > 0 && d.watched.MatchString(name) {
		close(d.armed)
		d.armed = nil
		d.gone = true
	}
}

// cutAtLast is when the power is cut even if nothing is lost.
const cutAtLast = 30 * time.Second

// cut cuts the power as soon as that loses something, and returns how much.
func (d *disk) cut() losses {
	d.mu.Lock()
	if !d.wouldLose() {
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
	var kept float64                   // share of the sectors
	if !d.lying && rand.IntN(2) == 0 { // a lie must be detected by itself
		kept = rand.Float64()
	}
	var all losses
	for name := range d.dirty {
		lost, err := d.keep(name, kept)
		if err != nil {
			fmt.Fprintf(os.Stderr, "what the disk had begun to write of %s: %v\n", name, err)
		}
		all.all += lost
		if d.watched.MatchString(name) {
			all.watched += lost
		}
	}
	return all
}

// wouldLose reports whether a cut would now lose data of a watched file. Called with mu
// held.
func (d *disk) wouldLose() bool {
	for name, spans := range d.dirty {
		if d.watched.MatchString(name) && slices.ContainsFunc(spans, func(s span) bool { return s.n > 0 }) {
			return true
		}
	}
	return false
}

// losses is how many bytes a cut lost.
type losses struct{ watched, all int64 }

func (l losses) String() string { return fmt.Sprint(l.watched, " ", l.all) }

// sector is what a disk writes completely or not at all, in bytes.
const sector = 512

// keep writes a share of a file's dirty sectors to the disk, and returns how many bytes
// were in the others. Called with mu held.
func (d *disk) keep(name string, share float64) (lost int64, err error) {
	f := &copied{disk: d, name: name}
	defer f.close()
	fate := make(map[int64]bool) // by sector
	for _, s := range d.dirty[name] {
		if s.n < 0 {
			if rand.Float64() < share {
				err = errors.Join(err, f.put(s))
			}
			continue
		}
		for at, end := s.at, s.at+s.n; at < end; {
			piece := span{at, min(end, (at/sector+1)*sector) - at}
			at += piece.n
			survives, again := fate[piece.at/sector]
			if !again {
				survives = rand.Float64() < share
				fate[piece.at/sector] = survives
			}
			switch {
			case survives:
				err = errors.Join(err, f.put(piece))
			case !again:
				lost += piece.n
			}
		}
	}
	return lost, err
}

// latency is how long a flush with data takes, as on a disk: most power cuts happen
// during one.
const latency = 3 * time.Millisecond

// flush writes a file's dirty spans to the disk, in the order in which they were
// written. A file without a name has nothing to keep.
func (d *disk) flush(name func() (string, bool)) error {
	write := func() error {
		if name, ok := name(); ok {
			return d.write(name)
		}
		return nil
	}
	if d.lying {
		time.AfterFunc(time.Second, func() { _ = write() })
		return nil
	}
	if name, ok := name(); ok && d.isDirty(name) {
		time.Sleep(latency)
	}
	return write()
}

func (d *disk) isDirty(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dirty[name]) > 0
}

func (d *disk) write(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return syscall.EIO
	}
	f := &copied{disk: d, name: name}
	defer f.close()
	if err := f.open(); err != nil {
		return err
	}
	for _, s := range d.dirty[name] {
		if err := f.put(s); err != nil {
			return err
		}
	}
	delete(d.dirty, name)
	return nil
}

// copied is a file whose spans are written to the disk.
type copied struct {
	disk     *disk
	name     string
	from, to *os.File
}

func (c *copied) open() (err error) {
	if c.to != nil {
		return nil
	}
	from, to := filepath.Join(c.disk.scratch, c.name), filepath.Join(c.disk.dir, c.name)
	if c.from, err = os.Open(from); err != nil {
		return err
	}
	if c.to, err = os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	return own(to, from)
}

func (c *copied) put(s span) error {
	err := c.open()
	switch {
	case err != nil:
	case s.n < 0:
		err = c.to.Truncate(s.at)
	default:
		_, err = io.Copy(io.NewOffsetWriter(c.to, s.at), io.NewSectionReader(c.from, s.at, s.n))
	}
	return err
}

func (c *copied) close() {
	_ = c.from.Close() // a nil file returns an error
	_ = c.to.Close()
}

// names makes a change of names on the disk too.
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

func (d *disk) mkdir(name string) syscall.Errno {
	return d.names(func() error {
		made := filepath.Join(d.dir, name)
		return errors.Join(os.Mkdir(made, 0o700), own(made, filepath.Join(d.scratch, name)))
	})
}

// remove removes a file or a directory.
func (d *disk) remove(name string) syscall.Errno {
	return d.names(func() error {
		delete(d.dirty, name)
		return os.Remove(filepath.Join(d.dir, name))
	})
}

// rename renames a file. The disk has nothing of a file that was never flushed; what it
// has under the new name stays there until the file is flushed.
func (d *disk) rename(from, to string) syscall.Errno {
	return d.names(func() error {
		d.dirty[to] = d.dirty[from]
		delete(d.dirty, from)
		err := os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
		if errors.Is(err, os.ErrNotExist) {
			d.dirty[to] = append([]span{{0, -1}}, d.dirty[to]...)
		}
		return err
	})
}

func (d *disk) link(from, to string) syscall.Errno {
	return d.names(func() error {
		if spans := d.dirty[from]; len(spans) > 0 {
			d.dirty[to] = slices.Clone(spans)
		}
		return os.Link(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
	})
}
