package hub

import (
	"sync"

	"github.com/chowk-chat/chowk/chat"
)

// remotePresence stores on which other nodes watched users are online.
type remotePresence struct {
	mu     sync.Mutex // guards what follows
	online map[chat.UserID]map[string]struct{}
}

// has reports whether a user is online on another node.
func (r *remotePresence) has(id chat.UserID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.online[id]) > 0
}

// set notes whether a user is online on a node, and reports whether that changed.
func (r *remotePresence) set(id chat.UserID, node string, online bool) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := r.online[id]
	if _, was := nodes[node]; was == online {
		return false
	}
	if online {
		if nodes == nil {
			nodes = make(map[string]struct{}, 1)
			r.online[id] = nodes
		}
		nodes[node] = struct{}{}
		return true
	}
	delete(nodes, node)
	if len(nodes) == 0 {
		delete(r.online, id)
	}
	return true
}

// forget forgets a user who is no longer watched.
func (r *remotePresence) forget(id chat.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.online, id)
}

// on returns the users who are online on a node.
func (r *remotePresence) on(node string) (users []chat.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, nodes := range r.online {
		if _, is := nodes[node]; is {
			users = append(users, id)
		}
	}
	return users
}

// RemotePresence notes whether a user who is watched here is online on another node.
func (h *Hub) RemotePresence(node string, id chat.UserID, online bool) {
	u := h.lookupUser(id)
	if u == nil {
		return
	}
	u.mu.Lock()
	watched := len(u.watchers()) > 0
	changed := watched && h.presence.remote.set(id, node, online)
	u.mu.Unlock()
	if changed {
		h.presence.changed(u)
	}
}

// NodeGone notes that no user is online on a node any longer.
func (h *Hub) NodeGone(node string) {
	for _, id := range h.presence.remote.on(node) {
		h.RemotePresence(node, id, false)
	}
}
