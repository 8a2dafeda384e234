package hub

import (
	"strings"
	"sync"

	"github.com/chowk-chat/chowk/chat"
)

type userShard struct {
	mu sync.RWMutex
	m  map[chat.UserID]*user // guarded by mu
}

// user is somebody who has a socket here, or whom somebody watches.
type user struct {
	id chat.UserID

	mu       sync.Mutex // guards what follows
	sockets  []*Socket
	watchers map[*Socket]struct{}
	online   bool // as the watchers were last told
	gone     bool // dropped from the hub: obtain another
}

func (h *Hub) userShard(id chat.UserID) *userShard {
	var sum byte
	for i := range len(id) {
		sum = sum*31 + id[i]
	}
	return &h.users[sum%shards]
}

func (h *Hub) lookupUser(id chat.UserID) *user {
	s := h.userShard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[id]
}

// withUser calls f under the mu of the user, making him known when he is not.
func (h *Hub) withUser(id chat.UserID, f func(u *user)) {
	s := h.userShard(id)
	for {
		s.mu.Lock()
		u := s.m[id]
		if u == nil {
			u = &user{id: chat.UserID(strings.Clone(string(id)))} // it may be a part of a request
			s.m[u.id] = u
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

// release forgets a user of whom nothing is left.
func (h *Hub) release(u *user) {
	s := h.userShard(u.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.sockets) == 0 && len(u.watchers) == 0 && !u.gone {
		u.gone = true
		delete(s.m, u.id)
	}
}

// arrive makes the socket one of its user's, of whom there may be most.
func (h *Hub) arrive(s *Socket, id chat.UserID, most int) (ok bool) {
	h.withUser(id, func(u *user) {
		if ok = most == 0 || len(u.sockets) < most; ok {
			s.user = u
			u.sockets = append(u.sockets, s)
		}
	})
	return ok
}

// opened tells the watchers when this is the user's first socket.
func (u *user) opened(h *Hub) {
	u.mu.Lock()
	changed := !u.online && len(u.watchers) > 0
	u.mu.Unlock()
	if changed {
		h.presence.changed(u)
	}
}

func (h *Hub) depart(s *Socket) {
	u := s.user
	u.mu.Lock()
	for i, other := range u.sockets {
		if other == s {
			last := len(u.sockets) - 1
			u.sockets[i], u.sockets[last] = u.sockets[last], nil
			u.sockets = u.sockets[:last]
			break
		}
	}
	left, watched := len(u.sockets), len(u.watchers) > 0
	u.mu.Unlock()
	if left == 0 && watched {
		h.presence.changed(u)
	}
	if left == 0 && !watched {
		h.release(u)
	}
}

func (h *Hub) socketsOf(id chat.UserID) []*Socket {
	u := h.lookupUser(id)
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*Socket(nil), u.sockets...)
}

func (h *Hub) anyHere(users []chat.UserID) bool {
	for _, id := range users {
		if h.isOnline(id) {
			return true
		}
	}
	return false
}

func (h *Hub) isOnline(id chat.UserID) bool {
	u := h.lookupUser(id)
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sockets) > 0
}

// joined makes all sockets of a new member hear the channel from seq on. Called
// with the channel's mu held.
func (h *Hub) joined(ch *channel, id chat.UserID, seq chat.Seq) {
	for _, s := range h.socketsOf(id) {
		s.mu.Lock()
		state := opening
		if s.open {
			state = live
		}
		s.mu.Unlock()
		if p := ch.add(s, seq-1, seq, state); p != nil {
			p.begin(seq)
		}
	}
}

// left notes that a membership ended. The cursors of the user's sockets end when
// they get there; those that nobody serves end here. Called with the channel's mu
// held.
func (h *Hub) left(ch *channel, id chat.UserID) {
	for _, s := range h.socketsOf(id) {
		p := s.pair(ch)
		if p == nil {
			continue
		}
		p.end()
		if p.state() == parked {
			ch.remove(p)
			s.dropPair(p)
		}
	}
}

// Conns gives what the user's open sockets write to.
func (h *Hub) Conns(id chat.UserID) []Conn {
	sockets := h.socketsOf(id)
	conns := make([]Conn, len(sockets))
	for i, s := range sockets {
		conns[i] = s.conn
	}
	return conns
}
