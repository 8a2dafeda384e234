package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/chowk-chat/chowk"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/store"
)

// serve runs a server until ctx ends, and then drains it.
func serve(ctx context.Context, cfg *config, log *slog.Logger) error {
	defer tuneCollector(log)()
	public, err := listen(ctx, "listen", cfg.Listen)
	if err != nil {
		return err
	}
	cfg.Listen = boundAddress(cfg.Listen, public.Addr())
	operations, err := listenForOperations(ctx, cfg, log)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	cfg.Logger, cfg.Version, cfg.Now = log, version, wallClock()
	server, err := chowk.Open(ctx, cfg.Config)
	if err != nil {
		if operations != nil {
			err = errors.Join(err, operations.Close())
		}
		return errors.Join(err, public.Close())
	}
	return server.Serve(ctx, public, operations)
}

// listen opens a listener on the address that the setting has.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is already in use: stop the program that uses it, or choose another address with --%s",
			address, setting)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (--%s): %w", address, setting, err)
	}
	return l, nil
}

// listenForOperations opens the listener for operators, nil when it is off. If its
// address is the default and in use, another one is chosen: a second server on a
// developer's machine is not a mistake.
func listenForOperations(ctx context.Context, cfg *config, log *slog.Logger) (net.Listener, error) {
	if cfg.Ops.Listen == "" {
		return nil, nil
	}
	l, err := listen(ctx, "ops.listen", cfg.Ops.Listen)
	if err == nil || cfg.sources["ops.listen"].kind != fromDefault {
		return l, err
	}
	if l, err = listen(ctx, "ops.listen", "127.0.0.1:0"); err == nil {
		log.Warn("ops.listen "+cfg.Ops.Listen+" is in use; using another address", "url", "http://"+l.Addr().String())
	}
	return l, err
}

// boundAddress returns the address wanted with the port that the system chose for
// port 0, so that links lead there.
func boundAddress(wanted string, bound net.Addr) string {
	host, _, err := net.SplitHostPort(wanted)
	_, port, boundErr := net.SplitHostPort(bound.String())
	if err != nil || boundErr != nil {
		return wanted
	}
	return net.JoinHostPort(host, port)
}

// openStore opens the database for a command that runs next to the server.
func openStore(ctx context.Context, cfg *config) (auth.Store, func() error, error) {
	if err := cfg.requireDatabase(); err != nil {
		return nil, nil, err
	}
	pool := store.Pool(cfg.Pool)
	pool.Size, pool.Overflow = 2, -1
	db, err := store.Open(ctx, store.Options{URL: cfg.DatabaseURL, SharedOpen: true, Pool: pool})
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	return db, db.Close, nil
}
