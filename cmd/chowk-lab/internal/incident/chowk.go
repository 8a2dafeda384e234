package incident

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// child is a chowk of its own, in a process of its own.
type child struct {
	cmd     *exec.Cmd
	dir     string
	url     string
	log     io.ReadCloser
	reading sync.WaitGroup
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	keptLog      = 20 // lines that are shown when it does not start
)

// chowk starts the real thing on the same database, with the same pool and with
// nobody's settings.
func (o *Options) chowk(ctx context.Context, url string) (server, error) {
	dir, err := os.MkdirTemp("", "chowk-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for chowk: %w", err)
	}
	c := &child{dir: dir}
	c.cmd = exec.Command(o.Chowk, "serve", "--auth=none", "--listen=127.0.0.1:0", "--ops.listen=off", "--data-dir="+dir, "--log.format=json", //nolint:gosec,noctx // this program; Close ends it
		"--drain.window=0s", fmt.Sprint("--pool.size=", o.Size), fmt.Sprint("--pool.overflow=", o.Overflow), fmt.Sprint("--pool.background-timeout=", o.Timeout))
	c.cmd.Dir = dir
	c.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "CHOWK_") }), "CHOWK_DATABASE_URL="+url)
	if c.log, err = c.cmd.StderrPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start chowk: %w", err), os.RemoveAll(dir))
	}
	listening := make(chan string, 1)
	said := make(chan string, 1)
	c.reading.Go(func() { c.read(listening, said) }) // ends when the process does
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case c.url = <-listening:
		return c, nil
	case text := <-said:
		return nil, errors.Join(errors.New("chowk did not start:\n"+text), c.Close())
	case <-late.C:
		return nil, errors.Join(errors.New("chowk does not start"), c.Close())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), c.Close())
	}
}

// read reads the log: where it listens, and if it ended before that, what it said.
func (c *child) read(listening, said chan<- string) {
	var last []string
	for lines := bufio.NewScanner(c.log); lines.Scan(); {
		var entry struct {
			Message string `json:"msg"`
			URL     string `json:"url"`
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Message == "listening" && listening != nil {
			listening <- strings.TrimSuffix(entry.URL, "/messages")
			listening = nil
		}
		if last = append(last, lines.Text()); len(last) > keptLog {
			last = last[1:]
		}
	}
	_, _ = io.Copy(io.Discard, c.log) // after a line too long for the scanner
	said <- strings.Join(last, "\n")
}

// URL is where it listens.
func (c *child) URL() string { return c.url }

// Close asks it to stop, and waits.
func (c *child) Close() error {
	if c.cmd.Process.Signal(os.Interrupt) != nil { // a system without it, or it has ended
		_ = c.cmd.Process.Kill()
	}
	late := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	c.reading.Wait()
	err := c.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("chowk ended: %w", err)
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
