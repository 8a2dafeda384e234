package hub

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Relay carries to the other nodes' hubs what they must know of this one. What it
// brings back comes in by ApplyRemote, ApplyJoins, ObserveHeads and the rest of this file, and may be
// late, doubled or missing. But for Online its methods never wait: they are called
// under locks.
type Relay interface {
	// Listen says that a channel has its first listener here, Unlisten that it has
	// lost its last.
	Listen(channel chat.ID)
	Unlisten(channel chat.ID)
	Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	PublishReadReceipt(r chat.ReadReceiptFrame)
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

// noRelay is the Relay of the only node.
type noRelay struct{}

func (noRelay) Listen(chat.ID)                               {}
func (noRelay) Unlisten(chat.ID)                             {}
func (noRelay) Typing(chat.ID, chat.UserID, bool, chat.Time) {}
func (noRelay) PublishReadReceipt(chat.ReadReceiptFrame)     {}
func (noRelay) Presence(chat.UserID, bool)                   {}
func (noRelay) Watch(chat.UserID)                            {}
func (noRelay) Unwatch(chat.UserID)                          {}
func (noRelay) Online([]chat.UserID) (online []chat.UserID)  { return nil }

// isAlone says that there are no other nodes.
func (h *Hub) isAlone() bool {
	_, is := h.config.Relay.(noRelay)
	return is
}

// ApplyRemote takes entries that other nodes committed, in whatever order and however
// often they come. Where one is missing the log is read. By an entry that begins a
// membership nothing begins: the relay is not asked who may hear what, see ApplyJoins.
func (h *Hub) ApplyRemote(events []chat.Entry) {
	for i := range events {
		ev := &events[i]
		if len(ev.JoinedUsers()) > 0 {
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

// ApplyJoins makes the sockets of users hear a channel of which the database says that
// they are members: since which seq (0 for founders), and how far the channel is.
// Those that hear it already go on as they were.
func (h *Hub) ApplyJoins(id chat.ID, head chat.Seq, joined map[chat.UserID]chat.Seq) {
	for user, seq := range joined {
		for _, s := range h.socketsOf(user) {
			h.admit(s, id, head, seq)
		}
	}
	h.ObserveHeads(map[chat.ID]chat.Seq{id: head})
}

func (h *Hub) admit(s *Socket, id chat.ID, head, joined chat.Seq) {
	for {
		ch := h.getOrCreate(id)
		ch.mu.Lock()
		if ch.gone {
			ch.mu.Unlock()
			continue
		}
		if !ch.known {
			ch.known, ch.head = true, head
		}
		begin := max(joined, 1) // a founder's membership begins with the first entry
		if s.subscription(ch) == nil {
			ch.subscribe(s, begin-1, joined, behind)
		}
		ch.mu.Unlock()
		h.behind.put(s)
		return
	}
}

// Heads gives how far each channel is, as far as is known, to which somebody here
// listens.
func (h *Hub) Heads() map[chat.ID]chat.Seq {
	known := make(map[chat.ID]chat.Seq)
	for i := range h.channels {
		for _, ch := range h.channels[i].all() {
			ch.mu.Lock()
			if ch.known && !ch.gone {
				known[ch.id] = max(ch.head, ch.beyondGap)
			}
			ch.mu.Unlock()
		}
	}
	return known
}

// ObserveHeads takes heads of channels as the database has them, and reads from the log
// what is missing here. It gives how many channels had something.
func (h *Hub) ObserveHeads(heads map[chat.ID]chat.Seq) (behind int) {
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

// RemoteTyping is Typing on another node. If that node dies, the user types no more
// after a while all the same.
func (h *Hub) RemoteTyping(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	if h.lookup(channel) == nil {
		return
	}
	h.typingTracker.note(typist{channel, user}, isTyping, time.Now())
	h.tellTyping(channel, user, isTyping, at)
}

// ReadAfar is PublishReadReceipt on another node.
func (h *Hub) ReadAfar(r chat.ReadReceiptFrame) { h.transient(r.ChannelID, r.UserID, false, r) }

// remote is where watched users are online, but for here.
type remote struct {
	mu     sync.Mutex // guards what follows
	online map[chat.UserID]map[string]struct{}
}

func (a *remote) has(id chat.UserID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.online[id]) > 0
}

// set reports whether it is news.
func (a *remote) set(id chat.UserID, node string, online bool) bool {
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

func (a *remote) forget(id chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.online, id)
}

// on gives the users who are online on a node.
func (a *remote) on(node string) (users []chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, nodes := range a.online {
		if _, is := nodes[node]; is {
			users = append(users, id)
		}
	}
	return users
}

// RemotePresence notes whether a user whom somebody here watches is online on another
// node.
func (h *Hub) RemotePresence(node string, id chat.UserID, online bool) {
	u := h.lookupUser(id)
	if u == nil {
		return
	}
	u.mu.Lock()
	watched := len(u.watchers()) > 0
	news := watched && h.presence.remote.set(id, node, online)
	u.mu.Unlock()
	if news {
		h.presence.changed(u)
	}
}

// NodeGone notes that nobody is online on a node any more.
func (h *Hub) NodeGone(node string) {
	for _, id := range h.presence.remote.on(node) {
		h.RemotePresence(node, id, false)
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

// LocalOnline is Online of this node alone.
func (h *Hub) LocalOnline(users []chat.UserID) []chat.UserID {
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
