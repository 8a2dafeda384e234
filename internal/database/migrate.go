package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // for goose, which needs database/sql
	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // for goose
)

// migrate brings the schema up to date with the migrations in a directory of schema:
// forward only, and on PostgreSQL one node at a time. It refuses a schema that is newer
// than this binary. It opens the database through database/sql for as long as it takes.
func migrate(ctx context.Context, schema fs.FS, dir, driver, dsn string, dialect goose.Dialect) (err error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := newProvider(schema, dir, db, dialect)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return fmt.Errorf("the database has version %d of the schema, and this chowk supports up to %d: "+
			"run the newer chowk, or restore a backup made before the upgrade", current, newest)
	}
	return nil
}

func newProvider(schema fs.FS, dir string, db *sql.DB, dialect goose.Dialect) (*goose.Provider, error) {
	files, err := fs.Sub(schema, dir)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if dialect == goosedb.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, db, files, options...)
}

// newestVersion returns the number of the last migration in a directory of schema.
func newestVersion(schema fs.FS, dir string) (newest int64) {
	files, err := fs.Glob(schema, dir+"/*.sql")
	if err != nil {
		return 0
	}
	for _, f := range files {
		number, _, _ := strings.Cut(f[strings.LastIndexByte(f, '/')+1:], "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}
