package chowk

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

const (
	forgetInterval = time.Hour
	forgetBatch    = 500 // entries in a unit of work, so that it is short
	forgetPause    = 20 * time.Millisecond
)

// forgetChanges deletes changes beyond their retention until ctx ends.
func (s *Server) forgetChanges(ctx context.Context) {
	keep := s.cfg.Retention.Changes
	if keep == 0 {
		return
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for total := 0; ; {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		n, err := s.db.ForgetChanges(ctx, chat.TimeOf(s.now().Add(-keep)), forgetBatch)
		total += n
		switch {
		case err == nil && n == forgetBatch:
			next.Reset(forgetPause)
			continue
		case err != nil && ctx.Err() == nil:
			s.log.Warn("delete old changes", "err", err)
		case total > 0:
			s.log.Info("deleted changes beyond their retention", "changes", total, "retention", keep)
		}
		total = 0
		next.Reset(min(forgetInterval, keep))
	}
}
