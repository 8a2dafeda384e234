package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// runMigrations brings a schema up to date: forward only, and on PostgreSQL one
// node at a time. A schema that is newer than this binary is refused.
func runMigrations(ctx context.Context, db *sql.DB, dialect goose.Dialect, schema fs.FS, dir string) error {
	files, err := fs.Sub(schema, dir)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if dialect == goosedb.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db, files, options...)
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
		return fmt.Errorf("the database has version %d of the schema, and this chowk knows up to %d: run the newer chowk, or restore a backup from before", current, newest)
	}
	return nil
}

// migrateWith opens the database once more through database/sql, which goose
// needs, only for as long as the migrations take.
func migrateWith(ctx context.Context, driver, dsn string, dialect goose.Dialect, schema fs.FS, dir string) (err error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return runMigrations(ctx, db, dialect, schema, dir)
}
