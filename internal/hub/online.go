package hub

import "github.com/chowk-chat/chowk/chat"

// maxOnline bounds the response to a request for all users who are online.
const maxOnline = 10_000

// Online returns those of the users who have a socket on any node; for nil, all users
// who have one, at most 10,000.
func (h *Hub) Online(users []chat.UserID) []chat.UserID {
	online := h.LocalOnline(users)
	if !h.isSingleNode() && (users == nil || len(online) < len(users)) {
		online = h.mergeRemote(online, users)
	}
	if users != nil {
		h.noteReported(online)
	}
	return online
}

// mergeRemote adds those of the users who are online on other nodes only.
func (h *Hub) mergeRemote(online, users []chat.UserID) []chat.UserID {
	known := make(map[chat.UserID]bool, len(online))
	for _, id := range online {
		known[id] = true
	}
	unknown := users
	if users != nil {
		unknown = make([]chat.UserID, 0, len(users)-len(online))
		for _, id := range users {
			if !known[id] {
				unknown = append(unknown, id)
			}
		}
	}
	for _, id := range h.config.Relay.Online(unknown) {
		if !known[id] && len(online) < maxOnline {
			known[id] = true
			online = append(online, id)
		}
	}
	return online
}

// LocalOnline is Online for this node only.
func (h *Hub) LocalOnline(users []chat.UserID) []chat.UserID {
	online := []chat.UserID{}
	if users != nil {
		return append(online, h.Connected(users)...)
	}
	for u := range h.allUsers {
		u.mu.Lock()
		if u.first != nil && len(online) < maxOnline {
			online = append(online, u.id)
		}
		u.mu.Unlock()
	}
	return online
}

// Connected returns those of the users who have a socket on this node.
func (h *Hub) Connected(users []chat.UserID) (connected []chat.UserID) {
	for _, id := range users {
		if h.isConnected(id) {
			connected = append(connected, id)
		}
	}
	return connected
}

func (h *Hub) anyConnected(users []chat.UserID) bool {
	for _, id := range users {
		if h.isConnected(id) {
			return true
		}
	}
	return false
}

func (h *Hub) isConnected(id chat.UserID) bool {
	u := h.lookupUser(id)
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.first != nil
}

// Watched returns the users who are watched on this node.
func (h *Hub) Watched() (watched []chat.UserID) {
	for u := range h.allUsers {
		u.mu.Lock()
		if len(u.watchers()) > 0 {
			watched = append(watched, u.id)
		}
		u.mu.Unlock()
	}
	return watched
}

// allUsers is an iterator over the users who have a socket here or are watched here.
// It holds no lock while it yields.
func (h *Hub) allUsers(yield func(*user) bool) {
	for i := range h.users {
		s := &h.users[i]
		s.mu.RLock()
		users := s.users.All()
		s.mu.RUnlock()
		for _, u := range users {
			if !yield(u) {
				return
			}
		}
	}
}

// IsMember reports whether a user is a member of a channel; ok is false when the user
// has no socket here, because then the hub has no information.
func (h *Hub) IsMember(channel chat.ID, user chat.UserID) (member, ok bool) {
	sockets := h.socketsOf(user)
	for _, s := range sockets {
		if sub := s.subscriptionByID(channel); sub != nil && !sub.Ended() {
			return true, true
		}
	}
	return false, len(sockets) > 0
}
