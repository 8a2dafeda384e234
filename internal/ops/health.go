package ops

import (
	"context"
	"errors"
	"time"
)

// State is the result of a check.
type State string

// The states. Only Failing makes the node unready: a problem of some users must not
// end the service for all.
const (
	OK      State = "ok"
	Warning State = "warning"
	Failing State = "failing"
)

// Finding is what a check found.
type Finding struct {
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// Check examines one thing. It stops when ctx ends.
type Check struct {
	Name  string
	Check func(ctx context.Context) Finding
}

// Health holds the checks of a server.
type Health struct {
	Checks []Check
}

// Report is the response of /readyz.
type Report struct {
	Ready  bool               `json:"ready"`
	Checks map[string]Finding `json:"checks"`
}

// checkTimeout limits all checks together: load balancers do not wait long.
const checkTimeout = 2 * time.Second

// Report runs every check.
func (h *Health) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := Report{Ready: true, Checks: make(map[string]Finding, len(h.Checks))}
	for _, c := range h.Checks {
		f := c.Check(ctx)
		r.Checks[c.Name] = f
		r.Ready = r.Ready && f.State != Failing
	}
	return r
}

// Ready returns nil if the server should receive traffic, otherwise the reasons why
// it should not.
func (h *Health) Ready(ctx context.Context) error {
	var errs []error
	for name, f := range h.Report(ctx).Checks {
		if f.State == Failing {
			errs = append(errs, errors.New(name+": "+f.Detail))
		}
	}
	return errors.Join(errs...)
}
