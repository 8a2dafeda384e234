package hub

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Relay carries to the other nodes' hubs what they must know of this one. What it
// brings back comes in by Hear, Admit, Learn and the rest of this file, and may be
// late, doubled or missing. But for Online its methods never wait: they are called
// under locks.
type Relay interface {
	// Listen says that a channel has its first listener here, Unlisten that it has
	// lost its last.
	Listen(channel chat.ID)
	Unlisten(channel chat.ID)
	Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	ReadUpTo(r chat.ReadReceiptFrame)
	// Presence says that a user has his first socket here, or lost his last.
	Presence(user chat.UserID, online bool)
	// Watch says that somebody here begins to watch a user, Unwatch that nobody does
	// any more.
	Watch(user chat.UserID)
	Unwatch(user chat.UserID)
	// Online gives those of the users who are online on other nodes; of nil,
	// everybody who is. It waits for the nodes, but not for long.
	Online(users []chat.UserID) []chat.UserID
}

// alone is the Relay of the only node.
type alone struct{}

func (alone) Listen(chat.ID)                               {}
func (alone) Unlisten(chat.ID)                             {}
func (alone) Typing(chat.ID, chat.UserID, bool, chat.Time) {}
func (alone) ReadUpTo(chat.ReadReceiptFrame)               {}
func (alone) Presence(chat.UserID, bool)                   {}
func (alone) Watch(chat.UserID)                            {}
func (alone) Unwatch(chat.UserID)                          {}
func (alone) Online([]chat.UserID) (online []chat.UserID)  { return nil }

// isAlone says that there are no other nodes.
func (h *Hub) isAlone() bool {
	_, is := h.config.Relay.(alone)
	return is
}

// Hear takes entries that other nodes committed, in whatever order and however
// often they come. Where one is missing the log is read. By an entry that begins a
// membership nothing begins: the relay is not asked who may hear what, see Admit.
func (h *Hub) Hear(events []chat.Event) {
	for i := range events {
		ev := &events[i]
		if len(ev.Joins()) > 0 {
			continue
		}
		if ch := h.lookup(ev.ChannelID); ch != nil {
			ch.put(*ev)
			h.dirty(ch)
		}
	}
}

// Listens says whether somebody here listens to the channel.
func (h *Hub) Listens(id chat.ID) bool { return h.lookup(id) != nil }

// Here gives those of the users who have a socket here.
func (h *Hub) Here(users []chat.UserID) (here []chat.UserID) {
	for _, id := range users {
		if h.isOnline(id) {
			here = append(here, id)
		}
	}
	return here
}

// Admit makes the sockets of users hear a channel of which the database says that
// they are members: since which seq (0 for founders), and how far the channel is.
// Those that hear it already go on as they were.
func (h *Hub) Admit(id chat.ID, head chat.Seq, joined map[chat.UserID]chat.Seq) {
	for user, seq := range joined {
		for _, s := range h.socketsOf(user) {
			h.admit(s, id, head, seq)
		}
	}
	h.Learn(map[chat.ID]chat.Seq{id: head})
}

func (h *Hub) admit(s *Socket, id chat.ID, head, joined chat.Seq) {
	for {
		ch := h.obtain(id)
		ch.mu.Lock()
		if ch.gone {
			ch.mu.Unlock()
			continue
		}
		if !ch.known {
			ch.known, ch.head = true, head
		}
		begin := max(joined, 1) // a founder's membership begins with the first entry
		if s.pair(ch) == nil {
			ch.welcome(s, begin-1, joined, behind)
		}
		ch.mu.Unlock()
		h.behind.put(s)
		return
	}
}

// Known gives how far each channel is, as far as is known, to which somebody here
// listens.
func (h *Hub) Known() map[chat.ID]chat.Seq {
	known := make(map[chat.ID]chat.Seq)
	for i := range h.channels {
		for _, ch := range h.channels[i].all() {
			ch.mu.Lock()
			if ch.known && !ch.gone {
				known[ch.id] = max(ch.head, ch.ahead)
			}
			ch.mu.Unlock()
		}
	}
	return known
}

// Learn takes heads of channels as the database has them, and reads from the log
// what is missing here. It gives how many channels had something.
func (h *Hub) Learn(heads map[chat.ID]chat.Seq) (behind int) {
	for id, head := range heads {
		ch := h.lookup(id)
		if ch == nil {
			continue
		}
		if ch.learn(head) {
			behind++
		}
		h.dirty(ch)
	}
	return behind
}

// TypingAfar is Typing on another node. If that node dies, the user types no more
// after a while all the same.
func (h *Hub) TypingAfar(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	if h.lookup(channel) == nil {
		return
	}
	h.typists.note(typist{channel, user}, isTyping, time.Now())
	h.tellTyping(channel, user, isTyping, at)
}

// ReadAfar is ReadUpTo on another node.
func (h *Hub) ReadAfar(r chat.ReadReceiptFrame) { h.transient(r.ChannelID, r.UserID, false, r) }

// afar is where watched users are online, but for here.
type afar struct {
	mu     sync.Mutex // guards what follows
	online map[chat.UserID]map[string]struct{}
}

func (a *afar) has(id chat.UserID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.online[id]) > 0
}

// set reports whether it is news.
func (a *afar) set(id chat.UserID, node string, online bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	nodes := a.online[id]
	if _, was := nodes[node]; was == online {
		return false
	}
	if online {
		if nodes == nil {
			nodes = make(map[string]struct{}, 1)
			a.online[id] = nodes
		}
		nodes[node] = struct{}{}
		return true
	}
	delete(nodes, node)
	if len(nodes) == 0 {
		delete(a.online, id)
	}
	return true
}

func (a *afar) forget(id chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.online, id)
}

// on gives the users who are online on a node.
func (a *afar) on(node string) (users []chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, nodes := range a.online {
		if _, is := nodes[node]; is {
			users = append(users, id)
		}
	}
	return users
}

// PresenceAfar notes whether a user whom somebody here watches is online on another
// node.
func (h *Hub) PresenceAfar(node string, id chat.UserID, online bool) {
	u := h.lookupUser(id)
	if u == nil {
		return
	}
	u.mu.Lock()
	watched := len(u.watchers()) > 0
	news := watched && h.presence.afar.set(id, node, online)
	u.mu.Unlock()
	if news {
		h.presence.changed(u)
	}
}

// NodeGone notes that nobody is online on a node any more.
func (h *Hub) NodeGone(node string) {
	for _, id := range h.presence.afar.on(node) {
		h.PresenceAfar(node, id, false)
	}
}

// Watched gives the users whom somebody here watches.
func (h *Hub) Watched() (watched []chat.UserID) {
	for u := range h.everybody {
		u.mu.Lock()
		if len(u.watchers()) > 0 {
			watched = append(watched, u.id)
		}
		u.mu.Unlock()
	}
	return watched
}

// OnlineHere is Online of this node alone.
func (h *Hub) OnlineHere(users []chat.UserID) []chat.UserID {
	online := []chat.UserID{}
	if users != nil {
		return append(online, h.Here(users)...)
	}
	for u := range h.everybody {
		u.mu.Lock()
		if u.first != nil && len(online) < maxOnline {
			online = append(online, u.id)
		}
		u.mu.Unlock()
	}
	return online
}

// everybody is an iterator over those who have a socket here or are watched. No lock
// is held while it yields.
func (h *Hub) everybody(yield func(*user) bool) {
	for i := range h.users {
		s := &h.users[i]
		s.mu.RLock()
		known := s.known.all()
		s.mu.RUnlock()
		for _, u := range known {
			if !yield(u) {
				return
			}
		}
	}
}
