package hub

import (
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// presence tells those who asked that somebody came or went: the latest state, at
// most once a second, so that a reconnect is not news.
type presence struct {
	hub    *Hub
	news   *debouncer[*user]
	remote remote
}

// watches is whom one socket watches.
type watches struct {
	users []*user
	stale bool // it could not be told of something
}

// presenceDelay is how long news of a user's presence may wait.
const presenceDelay = time.Second

func newPresence(h *Hub) *presence {
	p := &presence{hub: h, remote: remote{online: make(map[chat.UserID]map[string]struct{})}}
	p.news = newLater(presenceDelay, func(users []*user) {
		for _, u := range users {
			p.tell(u)
		}
	})
	return p
}

func (p *presence) changed(u *user) { p.news.put(u) }

// online says whether a user has a socket anywhere. Called with his mu held.
func (p *presence) online(u *user) bool { return u.first != nil || p.remote.has(u.id) }

// tell tells the watchers, unless the user is as they were last told.
func (p *presence) tell(u *user) {
	u.mu.Lock()
	online := p.online(u)
	changed := online != u.online
	if c := u.extra; c != nil {
		changed, c.said = changed || c.said && !online, false
	}
	u.online = online
	watchers := make([]*Socket, 0, len(u.watchers()))
	for s := range u.watchers() {
		watchers = append(watchers, s)
	}
	u.mu.Unlock()
	if !changed {
		return
	}
	at := chat.TimeOf(p.hub.config.Now())
	frame := encodeFrame(chat.PresenceFrame{Type: chat.EventPresence, UserID: u.id, IsOnline: online, LastSeen: at})
	for _, s := range watchers {
		if !s.conn.Write(frame) {
			s.missedPresence()
		}
	}
	p.hub.release(u)
}

// said notes that an answer says of users that they are online: who has gone before
// the watchers are told of that is told of all the same.
func (h *Hub) said(online []chat.UserID) {
	for _, id := range online {
		if u := h.lookupUser(id); u != nil {
			u.mu.Lock()
			if len(u.watchers()) > 0 {
				u.extra.said = true
			}
			u.mu.Unlock()
		}
	}
}

func (s *Socket) missedPresence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.watching(); w != nil {
		w.stale = true
	}
}

// refresh tells a socket that has drained the state of all whom it watches, when
// it missed some.
func (p *presence) refresh(s *Socket) {
	s.mu.Lock()
	var users []*user
	if w := s.watching(); w != nil && w.stale {
		w.stale = false
		users = w.users
	}
	s.mu.Unlock()
	at := chat.TimeOf(p.hub.config.Now())
	var b []byte
	for _, u := range users {
		u.mu.Lock()
		online := p.online(u)
		u.mu.Unlock()
		b = append(b, encodeFrame(chat.PresenceFrame{Type: chat.EventPresence, UserID: u.id, IsOnline: online, LastSeen: at})...)
	}
	if len(b) > 0 && !s.conn.Write(b) {
		s.missedPresence()
	}
}

// Watch tells the socket when one of the users comes or goes, instead of those it
// watched before.
func (s *Socket) Watch(ids []chat.UserID) {
	w := &watches{}
	for _, id := range ids {
		s.hub.withUser(id, nil, func(u *user) {
			c := u.crowded()
			if c.watchers == nil {
				c.watchers = make(map[*Socket]struct{}, 1)
				u.online = u.first != nil
				s.hub.config.Relay.Watch(u.id)
			}
			c.watchers[s] = struct{}{}
			w.users = append(w.users, u)
		})
	}
	s.mu.Lock()
	old := s.watching()
	closed := s.closed
	if !closed {
		s.ensureExtra().watches = w
	}
	s.mu.Unlock()
	if closed {
		old = w
		w = nil
	}
	s.hub.presence.unwatchExcept(s, old, w)
}

func (p *presence) unwatch(s *Socket, w *watches) { p.unwatchExcept(s, w, nil) }

// unwatchExcept ends the watching of all in old who are not in kept.
func (p *presence) unwatchExcept(s *Socket, old, kept *watches) {
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
