//go:build !windows

package pgtest

import "testing"

// DatabaseUnlessShort is Database for a test that is skipped with -short.
func DatabaseUnlessShort(t testing.TB) string {
	t.Helper()
	skipShort(t)
	return Database(t)
}

// StartUnlessShort is Start for a test that is skipped with -short.
func StartUnlessShort(t testing.TB) *Server {
	t.Helper()
	skipShort(t)
	return Start(t)
}

func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it needs PostgreSQL")
	}
}
