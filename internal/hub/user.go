package hub

import (
	"slices"
	"strings"
	"sync"

	"github.com/chowk-chat/chowk/chat"
)

type userShard struct {
	mu    sync.RWMutex // guards what follows
	known userTable
	ids   stringArena
}

// stringArena copies strings that live long, many into one piece of memory: each by itself
// would lie between hundreds of as short ones that are dropped, and keep their
// memory from being used for anything else.
type stringArena struct{ chunk strings.Builder }

const keptPiece = 1 << 10

func (k *stringArena) copy(s string) string {
	if k.chunk.Cap()-k.chunk.Len() < len(s) {
		k.chunk.Reset()
		k.chunk.Grow(max(keptPiece, len(s)))
	}
	at := k.chunk.Len()
	k.chunk.WriteString(s)
	return k.chunk.String()[at:]
}

// user is somebody who has a socket here, or whom somebody watches. Nearly everybody
// has one socket, so a user is a part of the first of his sockets, which stays in
// memory for that after it is closed: small pieces that live long, among many that
// do not, cost many times their size.
type user struct {
	id chat.UserID

	mu     sync.Mutex // guards what follows
	first  *Socket    // nil when there is none, and then there are no others
	extra  *userExtra // nil until there was one more, or somebody watched
	online bool       // as the watchers were last told
	gone   bool       // dropped from the hub: obtain another
}

// extra is what few users have.
type userExtra struct {
	others   []*Socket // besides the first
	watchers map[*Socket]struct{}
	said     bool // since the watchers were last told, an answer said that he is online
}

// crowded gives the crowd, to be changed. Called with mu held.
func (u *user) crowded() *userExtra {
	if u.extra == nil {
		u.extra = new(userExtra)
	}
	return u.extra
}

// others are the sockets besides the first, and watchers who watches. Called with mu
// held.
func (u *user) others() []*Socket {
	if u.extra == nil {
		return nil
	}
	return u.extra.others
}

func (u *user) watchers() map[*Socket]struct{} {
	if u.extra == nil {
		return nil
	}
	return u.extra.watchers
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
	return s.known.get(id)
}

// count is how many sockets he has. Called with mu held.
func (u *user) count() int {
	if u.first == nil {
		return 0
	}
	return 1 + len(u.others())
}

// add is called with mu held.
func (u *user) add(s *Socket) {
	if u.first == nil {
		u.first = s
		return
	}
	c := u.crowded()
	c.others = append(c.others, s)
}

// remove is called with mu held.
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

// all is called with mu held.
func (u *user) all() []*Socket {
	if u.first == nil {
		return nil
	}
	return append([]*Socket{u.first}, u.others()...)
}

// withUser calls f under the mu of the user, making him known when he is not: place
// is where, nil for anywhere.
func (h *Hub) withUser(id chat.UserID, place *user, f func(u *user)) {
	s := h.userShard(id)
	for {
		s.mu.Lock()
		u := s.known.get(id)
		if u == nil {
			if u = place; u == nil || u.gone { // somebody else came and went there meanwhile
				u = new(user)
			}
			u.id = chat.UserID(s.ids.copy(string(id))) // it may be a part of a request
			s.known.add(u)
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
	if u.first == nil && len(u.watchers()) == 0 && !u.gone {
		u.gone = true
		s.known.remove(u)
	}
}

// addSocket makes the socket one of its user's, of whom there may be most.
func (h *Hub) addSocket(s *Socket, id chat.UserID, most int) (ok bool) {
	h.withUser(id, &s.self, func(u *user) {
		if ok = most == 0 || u.count() < most; ok {
			s.user = u
			u.add(s)
			if u.count() == 1 {
				h.config.Relay.Presence(u.id, true)
			}
		}
	})
	return ok
}

// opened tells the watchers when this is the user's first socket.
func (u *user) opened(h *Hub) {
	u.mu.Lock()
	changed := !u.online && len(u.watchers()) > 0
	u.mu.Unlock()
	if changed {
		h.presence.changed(u)
	}
}

func (h *Hub) removeSocket(s *Socket) {
	u := s.user
	u.mu.Lock()
	u.remove(s)
	left, watched := u.count(), len(u.watchers()) > 0
	if left == 0 {
		h.config.Relay.Presence(u.id, false)
	}
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
	return u.all()
}

func (h *Hub) anyLocal(users []chat.UserID) bool {
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
	return u.first != nil
}

// joined makes all sockets of a new member hear the channel from seq on. Called
// with the channel's mu held.
func (h *Hub) joined(ch *channel, id chat.UserID, seq chat.Seq) {
	for _, s := range h.socketsOf(id) {
		if p := ch.subscribe(s, seq-1, seq, live); p != nil {
			p.begin(seq)
		}
	}
}

// left notes that a membership ended. The cursors of the user's sockets end when
// they get there; those that nobody serves end here. Called with the channel's mu
// held.
func (h *Hub) left(ch *channel, id chat.UserID) {
	for _, s := range h.socketsOf(id) {
		p := s.subscription(ch)
		if p == nil {
			continue
		}
		p.end()
		if p.state() == unsubscribed {
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
