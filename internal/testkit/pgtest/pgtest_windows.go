// Package pgtest starts PostgreSQL servers for tests; not on Windows.
package pgtest
