package hub

import (
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// presence notifies the sockets that watch a user when the user comes online or goes
// offline. They are sent the latest state, once a second at most, so that a reconnect
// is not reported.
type presence struct {
	hub           *Hub
	notifications *async.Debouncer[*user]
	remote        remotePresence
}

// watchList is the users that one socket watches.
type watchList struct {
	users []*user
	stale bool // the socket did not accept an event
}

// presenceDelay is how long a change of a user's presence may wait.
const presenceDelay = time.Second

func newPresence(h *Hub) *presence {
	p := &presence{hub: h, remote: remotePresence{online: make(map[chat.UserID]map[string]struct{})}}
	p.notifications = async.NewDebouncer(presenceDelay, func(users []*user) {
		for _, u := range users {
			p.notify(u)
		}
	})
	return p
}

// changed schedules a notification of the user's watchers.
func (p *presence) changed(u *user) { p.notifications.Put(u) }

// isOnline reports whether a user has a socket on any node. Called with the user's mu
// held.
func (p *presence) isOnline(u *user) bool { return u.first != nil || p.remote.has(u.id) }

// notify sends the watchers the user's presence, unless it is what they were last
// sent.
func (p *presence) notify(u *user) {
	u.mu.Lock()
	online := p.isOnline(u)
	changed := online != u.notifiedOnline
	if extra := u.extra; extra != nil {
		changed, extra.reportedOnline = changed || extra.reportedOnline && !online, false
	}
	u.notifiedOnline = online
	watchers := make([]*Socket, 0, len(u.watchers()))
	for s := range u.watchers() {
		watchers = append(watchers, s)
	}
	u.mu.Unlock()
	if !changed {
		return
	}
	frame := p.frame(u.id, online)
	for _, s := range watchers {
		if !s.conn.Write(frame) {
			s.missedPresence()
		}
	}
	p.hub.release(u)
}

func (p *presence) frame(id chat.UserID, online bool) []byte {
	return encodeFrame(chat.PresenceFrame{
		Type: chat.EventPresence, UserID: id, IsOnline: online, LastSeen: chat.TimeOf(p.hub.config.Now()),
	})
}

// noteReported notes that a response reports users as online. When such a user goes
// offline before the watchers were notified that they came online, the watchers are
// notified all the same.
func (h *Hub) noteReported(online []chat.UserID) {
	for _, id := range online {
		if u := h.lookupUser(id); u != nil {
			u.mu.Lock()
			if len(u.watchers()) > 0 {
				u.extra.reportedOnline = true
			}
			u.mu.Unlock()
		}
	}
}

func (s *Socket) missedPresence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.watches(); w != nil {
		w.stale = true
	}
}

// refresh sends a socket that has drained the presence of all users it watches, if it
// missed an event.
func (p *presence) refresh(s *Socket) {
	s.mu.Lock()
	var users []*user
	if w := s.watches(); w != nil && w.stale {
		w.stale = false
		users = w.users
	}
	s.mu.Unlock()
	var frames []byte
	for _, u := range users {
		u.mu.Lock()
		online := p.isOnline(u)
		u.mu.Unlock()
		frames = append(frames, p.frame(u.id, online)...)
	}
	if len(frames) > 0 && !s.conn.Write(frames) {
		s.missedPresence()
	}
}

// Watch notifies the socket when one of the users comes online or goes offline. It
// replaces the users that the socket watched before.
func (s *Socket) Watch(ids []chat.UserID) {
	watched := &watchList{}
	for _, id := range ids {
		s.hub.withUser(id, nil, func(u *user) {
			extra := u.ensureExtra()
			if extra.watchers == nil {
				extra.watchers = make(map[*Socket]struct{}, 1)
				u.notifiedOnline = u.first != nil
				s.hub.config.Relay.Watch(u.id)
			}
			extra.watchers[s] = struct{}{}
			watched.users = append(watched.users, u)
		})
	}
	s.mu.Lock()
	old := s.watches()
	closed := s.block.Flags.closed
	if !closed {
		s.ensureExtra().watches = watched
	}
	s.mu.Unlock()
	if closed {
		s.hub.presence.unwatch(s, watched)
		return
	}
	s.hub.presence.unwatchExcept(s, old, watched)
}

// unwatch stops the socket from watching users; nil is none.
func (p *presence) unwatch(s *Socket, old *watchList) { p.unwatchExcept(s, old, nil) }

// unwatchExcept stops the socket from watching the users in old that are not in kept.
func (p *presence) unwatchExcept(s *Socket, old, kept *watchList) {
	if old == nil {
		return
	}
	keep := make(map[*user]bool)
	if kept != nil {
		for _, u := range kept.users {
			keep[u] = true
		}
	}
	for _, u := range old.users {
		if keep[u] {
			continue
		}
		u.mu.Lock()
		delete(u.watchers(), s)
		if u.extra != nil && len(u.extra.watchers) == 0 {
			u.extra.watchers = nil
			p.hub.config.Relay.Unwatch(u.id)
			p.remote.forget(u.id)
		}
		u.mu.Unlock()
		p.hub.release(u)
	}
}
