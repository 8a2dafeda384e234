//go:build !unix

package database

import (
	"fmt"
	"os"
)

// lockFile only marks the file as in use: locks differ too much elsewhere.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	return f, nil
}
