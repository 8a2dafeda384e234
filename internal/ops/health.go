package ops

import (
	"context"
	"errors"
	"time"
)

// State says how something is.
type State string

// The states. Only Failing keeps traffic away: what is only bad for some must not
// take the service from everybody.
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

// Check looks at one thing. It gives up when ctx ends.
type Check struct {
	Name  string
	Check func(ctx context.Context) Finding
}

// Health is all checks of a server.
type Health struct {
	Checks []Check
}

// Report is what /readyz answers.
type Report struct {
	Ready  bool               `json:"ready"`
	Checks map[string]Finding `json:"checks"`
}

// checkTimeout bounds all checks together: a balancer that asks does not wait long.
const checkTimeout = 2 * time.Second

// Report looks at everything.
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

// Ready is nil when the server should get traffic; otherwise it says why not.
func (h *Health) Ready(ctx context.Context) error {
	var errs []error
	for name, f := range h.Report(ctx).Checks {
		if f.State == Failing {
			errs = append(errs, errors.New(name+": "+f.Detail))
		}
	}
	return errors.Join(errs...)
}
