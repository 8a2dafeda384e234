package hub

import (
	"slices"
	"sync"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
)

type userShard struct {
	mu    sync.RWMutex // guards what follows
	users compact.Table[*user]
	ids   compact.Arena
}

// user is a user who has a socket on this node or is watched by one. Most users have
// one socket, so a user is a field of their first socket, which stays in memory for
// that after it is closed: small allocations that live long, among many that do not,
// cost many times their size.
type user struct {
	id chat.UserID

	mu             sync.Mutex // guards what follows
	first          *Socket    // nil when there are no sockets
	extra          *userExtra // nil until there was a second socket or a watcher
	notifiedOnline bool       // the state that the watchers were last sent
	gone           bool       // released by the hub: get another one by withUser
}

// userExtra is what few users have.
type userExtra struct {
	others         []*Socket // besides the first
	watchers       map[*Socket]struct{}
	reportedOnline bool // in a response, since the watchers were last notified
}

// Key returns the id by which the hub's table finds the user.
func (u *user) Key() string { return string(u.id) }

// ensureExtra returns the user's extra, which it allocates if there is none. Called
// with mu held.
func (u *user) ensureExtra() *userExtra {
	if u.extra == nil {
		u.extra = new(userExtra)
	}
	return u.extra
}

// others returns the sockets besides the first. Called with mu held.
func (u *user) others() []*Socket {
	if u.extra == nil {
		return nil
	}
	return u.extra.others
}

// watchers returns the sockets that watch the user. Called with mu held.
func (u *user) watchers() map[*Socket]struct{} {
	if u.extra == nil {
		return nil
	}
	return u.extra.watchers
}

// socketCount returns the number of the user's sockets. Called with mu held.
func (u *user) socketCount() int {
	if u.first == nil {
		return 0
	}
	return 1 + len(u.others())
}

// sockets returns the user's sockets. Called with mu held.
func (u *user) sockets() []*Socket {
	if u.first == nil {
		return nil
	}
	return append([]*Socket{u.first}, u.others()...)
}

// add adds a socket. Called with mu held.
func (u *user) add(s *Socket) {
	if u.first == nil {
		u.first = s
		return
	}
	extra := u.ensureExtra()
	extra.others = append(extra.others, s)
}

// remove removes a socket. Called with mu held.
func (u *user) remove(s *Socket) {
	var last *Socket
	if others := u.others(); len(others) > 0 {
		n := len(others) - 1
		last = others[n]
		if i := slices.Index(others, s); i >= 0 {
			others[i] = last
		}
		others[n] = nil
		u.extra.others = others[:n]
	}
	if u.first == s {
		u.first = last
	}
}

// opened notifies the watchers if this is the user's first socket.
func (u *user) opened(h *Hub) {
	u.mu.Lock()
	changed := !u.notifiedOnline && len(u.watchers()) > 0
	u.mu.Unlock()
	if changed {
		h.presence.changed(u)
	}
}

func (h *Hub) userShard(id chat.UserID) *userShard {
	var sum byte
	for i := range len(id) {
		sum = sum*31 + id[i]
	}
	return &h.users[sum%shards]
}

// lookupUser returns a user whom the hub knows, nil for others.
func (h *Hub) lookupUser(id chat.UserID) *user {
	s := h.userShard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.users.Get(string(id))
}

// withUser calls f under the mu of a user, whom it registers if they are unknown: in
// memory, or in memory that it allocates when that is nil or was used already.
func (h *Hub) withUser(id chat.UserID, memory *user, f func(u *user)) {
	s := h.userShard(id)
	for {
		s.mu.Lock()
		u := s.users.Get(string(id))
		if u == nil {
			if u = memory; u == nil || u.gone {
				u = new(user)
			}
			u.id = chat.UserID(s.ids.Copy(string(id))) // the id may be a part of a request
			s.users.Add(u)
		}
		s.mu.Unlock()
		u.mu.Lock()
		if u.gone {
			u.mu.Unlock()
			continue
		}
		f(u)
		u.mu.Unlock()
		return
	}
}

// release forgets a user who has neither sockets nor watchers.
func (h *Hub) release(u *user) {
	s := h.userShard(u.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.first == nil && len(u.watchers()) == 0 && !u.gone {
		u.gone = true
		s.users.Remove(u)
	}
}

// addSocket adds the socket to its user. It reports false when the user has
// maxSockets already; 0 is unlimited.
func (h *Hub) addSocket(s *Socket, id chat.UserID, maxSockets int) (ok bool) {
	h.withUser(id, &s.self, func(u *user) {
		if ok = maxSockets == 0 || u.socketCount() < maxSockets; ok {
			s.user = u
			u.add(s)
			if u.socketCount() == 1 {
				h.config.Relay.Presence(u.id, true)
			}
		}
	})
	return ok
}

func (h *Hub) removeSocket(s *Socket) {
	u := s.user
	u.mu.Lock()
	u.remove(s)
	offline, watched := u.first == nil, len(u.watchers()) > 0
	if offline {
		h.config.Relay.Presence(u.id, false)
	}
	u.mu.Unlock()
	if offline && watched {
		h.presence.changed(u)
	}
	if offline && !watched {
		h.release(u)
	}
}

// socketsOf returns the user's sockets on this node.
func (h *Hub) socketsOf(id chat.UserID) []*Socket {
	u := h.lookupUser(id)
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sockets()
}

// Conns returns the connections of the user's sockets on this node.
func (h *Hub) Conns(id chat.UserID) []Conn {
	sockets := h.socketsOf(id)
	conns := make([]Conn, len(sockets))
	for i, s := range sockets {
		conns[i] = s.conn
	}
	return conns
}

// memberJoined subscribes all sockets of a new member from seq on. Called with the
// channel's mu held.
func (h *Hub) memberJoined(ch *channel, id chat.UserID, seq chat.Seq) {
	for _, s := range h.socketsOf(id) {
		if sub := ch.subscribe(s, seq-1, seq, live); sub != nil {
			sub.Join(seq)
		}
	}
}

// memberLeft notes that a membership ended. The subscriptions of the user's sockets
// end when their cursors get there; those that are not served end here. Called with
// the channel's mu held.
func (h *Hub) memberLeft(ch *channel, id chat.UserID) {
	for _, s := range h.socketsOf(id) {
		sub := s.subscriptionTo(ch)
		if sub == nil {
			continue
		}
		sub.End()
		if sub.State() == unsubscribed {
			ch.remove(sub)
			s.dropSubscription(sub)
		}
	}
}
