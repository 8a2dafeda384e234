package main

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
	"github.com/chowk-chat/chowk/internal/state"
)

// canaryPatience is how long a message of the canary's may be on its way, and how
// long its channel may take to be made.
const canaryPatience = 5 * time.Second

// startCanary sends messages through the door at address until stop is called. A
// server whose canary cannot start serves all the same, and its metric says so.
func (s *server) startCanary(address net.Addr) (stop func()) {
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
			s.log.Error("make the canary's channel", "err", err)
			s.metrics.Canary.Failures.WithLabelValues("connect").Inc()
			if async.Sleep(ctx, interval) {
				channel, err = s.canaryChannel(ctx)
			}
		}
		if ctx.Err() == nil {
			s.canary(address, channel).Run(ctx)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (s *server) canary(address net.Addr, channel chat.ID) *canary.Canary {
	c := &canary.Canary{
		URL: "ws://" + localAddress(address.String()) + "/api/v1/ws", Token: s.auth.InternalToken(canary.User), Channel: channel,
		Interval: s.cfg.Canary.Interval, Timeout: canaryPatience, Metrics: s.metrics.Canary, Log: s.log,
		DeleteUpTo: func(ctx context.Context, seq chat.Seq) error { return s.db.DeleteUpTo(ctx, channel, seq) },
	}
	if s.cfg.TLS.CertFile != "" {
		c.URL = "wss" + c.URL[len("ws"):]
		// The certificate names the public host, and this is the process itself.
		c.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	}
	return c
}

// canaryChannel finds or makes the channel that the canaries of all nodes share.
// Its members are disabled: nobody finds them or can come in as them.
func (s *server) canaryChannel(ctx context.Context) (chat.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryPatience)
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

// canaryUsers makes the members, able to found a channel.
func (s *server) canaryUsers(ctx context.Context) error {
	for _, u := range canaryMembers {
		_, err := s.db.EnsureUser(ctx, chat.User{ID: u, Name: "canary", IsActive: true, CreatedAt: chat.TimeOf(s.now())})
		if err == nil {
			_, err = s.db.SetActive(ctx, u, true) // a start before this one may have ended half-way
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", u, err)
		}
	}
	return nil
}
