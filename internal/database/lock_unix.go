//go:build unix

package database

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile keeps a second server away from a SQLite file: each would publish what it
// commits to its own sockets only. The lock ends with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("another chowk has this database open (%s): stop it, or set a different data-dir: %w", path, err)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
