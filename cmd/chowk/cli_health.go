package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"
)

type healthCmd struct {
	Alive bool `name:"alive" help:"Ask only whether the process answers."`
}

// Help says what it asks.
func (healthCmd) Help() string {
	return "Asks /readyz on the address that the settings name (listen), with --alive /healthz.\nExit code 0: it is, 1: it is not, or nobody answers."
}

const healthTimeout = 4 * time.Second

func (cmd healthCmd) run(ctx context.Context, c invocation, cfg *Config) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	scheme, path := "http://", "/readyz"
	if cfg.TLS.CertFile != "" {
		scheme = "https://"
	}
	if cmd.Alive {
		path = "/healthz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+localAddress(cfg.Listen)+path, nil)
	if err != nil {
		return err
	}
	// The certificate names the public host, and nothing secret is said.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("nobody answers: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	return c.print("ok")
}
