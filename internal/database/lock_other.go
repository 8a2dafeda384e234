//go:build !unix

package database

import (
	"fmt"
	"os"
)

// lockFile only creates the file that marks the database as in use: locks differ too
// much on other systems.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	return f, nil
}
