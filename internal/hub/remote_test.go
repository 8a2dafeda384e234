package hub_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

// relay notes what the hub tells other nodes, and answers for them.
type relay struct {
	mu     sync.Mutex // guards what follows
	told   []string
	online []chat.UserID
}

func (r *relay) note(what, whom string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, what+" "+whom)
}

func (r *relay) Listen(id chat.ID)   { r.note("listen", id.String()) }
func (r *relay) Unlisten(id chat.ID) { r.note("unlisten", id.String()) }

func (r *relay) Typing(_ chat.ID, user chat.UserID, _ bool, _ chat.Time) {
	r.note("typing", string(user))
}
func (r *relay) PublishReadReceipt(f chat.ReadReceiptFrame) { r.note("read", string(f.UserID)) }

func (r *relay) Presence(user chat.UserID, online bool) {
	if online {
		r.note("online", string(user))
	} else {
		r.note("offline", string(user))
	}
}
func (r *relay) Watch(user chat.UserID)   { r.note("watch", string(user)) }
func (r *relay) Unwatch(user chat.UserID) { r.note("unwatch", string(user)) }
func (r *relay) Online([]chat.UserID) []chat.UserID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online
}

func (r *relay) count(what string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.told {
		if s == what {
			n++
		}
	}
	return n
}

// TestEntriesOfOtherNodesMayComeInAnyOrder, twice and not at all: those in the wrong
// order cost no look at the log, when the one before comes soon.
func TestEntriesOfOtherNodesMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{Relay: new(relay)})
		id := w.channel("ada")
		ada := w.connect("ada")
		events := w.write(id, messages("bob", 4)...)
		w.hub.ApplyRemote(events[1:3])
		synctest.Wait() // nobody can go on but by time
		w.hub.ApplyRemote(events[:2])
		w.hub.ApplyRemote(events[2:])
		inOrder(t, ada.frames(t, 4), id, 1, 4)
		time.Sleep(time.Second)
		if n := w.asked["log"]; n != 0 {
			t.Errorf("the log was asked %d times", n)
		}

		events = w.write(id, messages("bob", 6)...)
		w.hub.ApplyRemote(events[5:]) // the others never come
		inOrder(t, ada.frames(t, 10), id, 1, 10)
	})
}

// TestALieAboutAHeadIsNotBelieved: entries that are not there are not waited for,
// and those that come are heard.
func TestALieAboutAHeadIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{Relay: new(relay)})
		id := w.channel("ada")
		ada := w.connect("ada")
		lie := message("eve", "a lie")
		lie.ChannelID, lie.Seq = id, 1<<40
		lie.Message.ChannelID, lie.Message.Seq = id, 1<<40
		w.hub.ApplyRemote([]chat.Entry{lie})
		time.Sleep(time.Second) // it was looked for
		for range 3 {
			w.hub.ApplyRemote(w.write(id, messages("bob", 400)...))
		}
		inOrder(t, ada.frames(t, 1200), id, 1, 1200)
	})
}

// TestNobodyIsAdmittedByAnEntryOfAnotherNode, but by what the database says.
func TestNobodyIsAdmittedByAnEntryOfAnotherNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hub.Config{Relay: new(relay)})
	id := w.channel("ada")
	ada, eve := w.connect("ada"), w.connect("eve")
	w.publish(id, messages("ada", 2)...)
	joins := w.write(id, chat.Entry{Type: chat.EventMemberJoined, UserID: "ada", Subject: "eve"})
	after := w.write(id, messages("ada", 1)...)
	w.member(id, "eve", false) // what was said is not so
	w.hub.ApplyRemote(joins)
	w.hub.ApplyRemote(after)
	w.hub.ApplyJoins(id, 4, nil)
	inOrder(t, ada.frames(t, 4), id, 1, 4)

	other := w.channel("ada")
	w.write(other, messages("ada", 3)...)
	w.write(other, chat.Entry{Type: chat.EventMemberJoined, UserID: "ada", Subject: "eve"})
	w.write(other, messages("ada", 2)...)
	w.hub.ApplyJoins(other, 6, map[chat.UserID]chat.Seq{"eve": 4, "nobody": 4})
	eve.mu.Lock()
	early := len(eve.got)
	eve.mu.Unlock()
	got := eve.frames(t, early+3)
	inOrder(t, got[early:], other, 4, 6)
	w.hub.ApplyJoins(other, 6, map[chat.UserID]chat.Seq{"eve": 4}) // once more
	w.publish(other, messages("ada", 1)...)
	inOrder(t, eve.frames(t, early+4)[early:], other, 4, 7)
}

// TestOtherNodesAreToldOfNoMoreThanTheyNeed.
func TestOtherNodesAreToldOfNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	r := &relay{online: []chat.UserID{"dan", "ada"}}
	w := newWorld(t, hub.Config{Relay: r})
	id := w.channel("ada", "bob")
	one, two, bob := w.connect("ada"), w.connect("ada"), w.connect("bob")
	if r.count("listen "+id.String()) != 1 || r.count("online ada") != 1 {
		t.Errorf("told %v", r.told)
	}
	if got := w.hub.Online([]chat.UserID{"ada", "bob", "dan", "eve"}); len(got) != 3 {
		t.Errorf("online: %v", got)
	}
	one.socket.Watch([]chat.UserID{"dan"})
	two.socket.Watch([]chat.UserID{"dan"})
	one.socket.Close()
	if r.count("watch dan") != 1 || r.count("unwatch dan") != 0 || r.count("offline ada") != 0 {
		t.Errorf("told %v", r.told)
	}
	w.hub.RemotePresence("node", "dan", true)
	for _, f := range two.frames(t, 1) {
		if f.Type != chat.EventPresence || f.UserID != "dan" || !f.IsOnline {
			t.Errorf("got %+v", f)
		}
	}
	w.hub.NodeGone("node")
	if f := two.frames(t, 2)[1]; f.IsOnline {
		t.Errorf("got %+v", f)
	}
	two.socket.Close()
	if r.count("unwatch dan") != 1 || r.count("offline ada") != 1 || r.count("unlisten "+id.String()) != 0 {
		t.Errorf("told %v", r.told)
	}
	bob.socket.Close()
	if r.count("unlisten "+id.String()) != 1 {
		t.Errorf("told %v", r.told)
	}
}
