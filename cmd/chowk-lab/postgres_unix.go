//go:build unix

package main

import "github.com/chowk-chat/chowk/internal/testkit/pgtest"

// startPostgres starts a PostgreSQL server that lives until remove is called.
func startPostgres() (url string, remove func(), err error) {
	server, err := pgtest.New()
	if err != nil {
		return "", nil, err
	}
	return server.URL(), server.Remove, nil
}
