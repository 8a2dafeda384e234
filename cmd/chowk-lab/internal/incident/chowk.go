package incident

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// chowk starts the real server on the same database, with the same pool.
func (o *Options) chowk(_ context.Context, url string) (server, error) {
	dir, err := os.MkdirTemp("", "chowk-incident-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for chowk: %w", err)
	}
	c := &chowkServer{dir: dir}
	c.Server, err = testkit.StartServer(testkit.Options{
		Binary: o.Chowk, Dir: dir, Env: []string{"CHOWK_DATABASE_URL=" + url},
		Settings: []string{
			"auth=none", "ops.listen=off", "drain.window=0s",
			fmt.Sprint("pool.size=", o.Size), fmt.Sprint("pool.overflow=", o.Overflow),
			fmt.Sprint("pool.background-timeout=", o.Timeout),
		},
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// chowkServer is the real server, in a directory of its own.
type chowkServer struct {
	*testkit.Server
	dir string
}

func (c *chowkServer) URL() string { return c.Server.URL }

// Close stops the server and removes its directory.
func (c *chowkServer) Close() error { return errors.Join(c.Stop(), os.RemoveAll(c.dir)) }
