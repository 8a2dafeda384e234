//go:build !windows

package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Query runs a statement on the database of a URL and gives the rows as text,
// columns parted by |.
func Query(t testing.TB, url, sql string) []string {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := query(bin, url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func query(bin, url, sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	psql := filepath.Join(bin, "psql")
	if !exists(psql) {
		psql = "psql"
	}
	cmd := exec.CommandContext(ctx, psql, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url)
	cmd.Dir = os.TempDir()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("psql: %w: %s", err, complaint.String())
	}
	return strings.Fields(out.String()), nil
}
