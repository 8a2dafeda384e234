package gateway

import (
	"context"
	"maps"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

var _ command.Socket = (*session)(nil)

// Join implements [command.Socket]: the socket receives the channel's events.
func (s *session) Join(ctx context.Context, id chat.ID) (chat.Seq, error) {
	seq, err := s.hub.Join(ctx, id)
	if err == nil {
		s.gateway.Log.Info("joined channel", "user", s.user(), "channel", id, "connection", s.id)
	}
	return seq, err
}

// Leave implements [command.Socket]: the socket no longer receives the channel's
// events.
func (s *session) Leave(id chat.ID) { s.hub.Leave(id) }

// Watch implements [command.Socket]: the socket receives the users' presence.
func (s *session) Watch(users []chat.UserID) { s.hub.Watch(users) }

// Resume implements [command.Socket]: it moves the socket's cursors back. Where that
// is not possible, the client receives an error frame.
func (s *session) Resume(_ context.Context, epoch string, cursors map[chat.ID]chat.Seq) (
	map[chat.ID]chat.SeqRange, error,
) {
	resumed, refused := s.resume(epoch, cursors)
	for _, f := range refused {
		s.reply(f)
	}
	return resumed, nil
}

// resume moves cursors back. It returns one error frame for each reason why that was
// not possible, however many channels there are.
func (s *session) resume(epoch string, cursors map[chat.ID]chat.Seq) (
	resumed map[chat.ID]chat.SeqRange, refused []chat.ErrorFrame,
) {
	now := chat.TimeOf(s.gateway.Now())
	count := s.gateway.Metrics.Resumes
	if epoch != s.gateway.Epoch {
		count.WithLabelValues("epoch").Add(float64(len(cursors)))
		if len(cursors) > 0 {
			const reason = "The server's history has changed. Reload these channels."
			refused = append(refused, chat.ResyncFrame(reason, now, slices.Collect(maps.Keys(cursors))...))
		}
		return map[chat.ID]chat.SeqRange{}, refused
	}
	resumed, ahead, denied := s.hub.Resume(cursors)
	count.WithLabelValues("ok").Add(float64(len(resumed)))
	count.WithLabelValues("ahead").Add(float64(len(ahead)))
	count.WithLabelValues("denied").Add(float64(len(denied)))
	if len(ahead) > 0 {
		const reason = "Your cursor is ahead of the channel. Reload these channels."
		refused = append(refused, chat.ResyncFrame(reason, now, ahead...))
	}
	if len(denied) > 0 {
		refused = append(refused, chat.NoResumeFrame(now, denied...))
	}
	return resumed, refused
}
