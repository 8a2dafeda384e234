package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/chowk-chat/chowk/internal/settings"
)

type healthCmd struct {
	Alive bool `name:"alive" help:"Check only whether the process answers."`
}

// Help describes what is checked.
func (healthCmd) Help() string {
	return "Requests /readyz, or with --alive /healthz, from the address in the setting listen.\n" +
		"Exit code: 0 if the server is ready, 1 if it is not or does not answer."
}

const healthTimeout = 4 * time.Second

func (cmd healthCmd) run(ctx context.Context, c invocation, cfg *config) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	server, path := "http://"+settings.LocalAddress(cfg.Listen), "/readyz"
	if cfg.TLS.CertFile != "" {
		server = "https://" + settings.LocalAddress(cfg.Listen)
	}
	if cmd.Alive {
		path = "/healthz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return err
	}
	// The certificate names the public host, and nothing secret is sent.
	insecure := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: insecure}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s: %w", server, rootCause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", server+path, resp.Status)
	}
	return c.print("ok")
}

// rootCause returns why a request failed, without the request.
func rootCause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
