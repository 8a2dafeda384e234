//go:build !unix

package main

import "errors"

// startPostgres fails: PostgreSQL servers are started on Unix only.
func startPostgres() (url string, remove func(), err error) {
	return "", nil, errors.New("this system cannot start a PostgreSQL server: use --database-url")
}
