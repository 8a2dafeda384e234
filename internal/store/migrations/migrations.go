// Package migrations holds the schema: for each database the steps that bring it up
// to date, in the order of their numbers. Steps are never changed once released.
package migrations

import "embed"

// Files has a directory for each kind of database, postgres and sqlite.
//
//go:embed postgres sqlite
var Files embed.FS
