package chowk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/canary"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/settings"
	"github.com/chowk-chat/chowk/internal/state"
)

// canaryTimeout bounds the trip of a canary message, and the creation of its channel.
const canaryTimeout = 5 * time.Second

// startCanary sends test messages through the listener at address until stop is
// called. A server whose canary cannot start serves all the same, and the canary's
// metric shows it.
func (s *Server) startCanary(address net.Addr) (stop func()) {
	interval := s.cfg.Canary.Interval
	if interval == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends when stop cancels
		defer close(done)
		channel, err := s.canaryChannel(ctx)
		for err != nil && ctx.Err() == nil {
			s.log.Error("create the canary's channel", "err", err)
			s.metrics.Canary.Failures.WithLabelValues("connect").Inc()
			if async.Sleep(ctx, interval) {
				channel, err = s.canaryChannel(ctx)
			}
		}
		if ctx.Err() == nil {
			s.newCanary(address, channel).Run(ctx)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (s *Server) newCanary(address net.Addr, channel chat.ID) *canary.Canary {
	c := &canary.Canary{
		URL:   "ws://" + settings.LocalAddress(address.String()) + "/api/v1/ws",
		Token: s.auth.InternalToken(canary.User), Channel: channel,
		Interval: s.cfg.Canary.Interval, Timeout: canaryTimeout, Metrics: s.metrics.Canary, Log: s.log,
		DeleteUpTo: func(ctx context.Context, seq chat.Seq) error { return s.db.DeleteUpTo(ctx, channel, seq) },
	}
	if s.certificate != nil {
		c.URL = "wss" + c.URL[len("ws"):]
		// The certificate names the public host, and this is the process itself.
		c.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	}
	return c
}

// canaryChannel finds or creates the channel that the canaries of all nodes share. Its
// members are disabled: they cannot be found, and no one can log in as them.
func (s *Server) canaryChannel(ctx context.Context) (chat.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	found, err := s.db.DirectChannel(ctx, state.DirectKey(canary.User, canary.Peer), canary.User)
	if err != nil && chat.AsError(err).Code == chat.NotFound {
		if err = s.canaryUsers(ctx); err == nil {
			found, err = s.rules.DirectChannel(ctx, command.Caller{Actor: model.UserActor(canary.User)}, canary.Peer)
		}
	}
	for _, u := range canaryMembers {
		if account, unknown := s.db.Account(ctx, u); unknown == nil && account.IsActive {
			_, failed := s.db.SetActive(ctx, u, false)
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		return chat.ID{}, err
	}
	return found.ID, nil
}

var canaryMembers = []chat.UserID{canary.User, canary.Peer}

// canaryUsers creates the members, enabled so that they can create the channel.
func (s *Server) canaryUsers(ctx context.Context) error {
	for _, u := range canaryMembers {
		_, err := s.db.EnsureUser(ctx, chat.User{ID: u, Name: "canary", IsActive: true, CreatedAt: chat.TimeOf(s.now())})
		if err == nil {
			_, err = s.db.SetActive(ctx, u, true) // an earlier start may have ended half-way
		}
		if err != nil {
			return fmt.Errorf("create %s: %w", u, err)
		}
	}
	return nil
}
