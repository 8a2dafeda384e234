package hub_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

// relay records what the hub sends to other nodes, and responds for them.
type relay struct {
	mu     sync.Mutex // guards what follows
	calls  []string
	online []chat.UserID
}

func (r *relay) record(call, subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call+" "+subject)
}

func (r *relay) Listen(id chat.ID)   { r.record("listen", id.String()) }
func (r *relay) Unlisten(id chat.ID) { r.record("unlisten", id.String()) }

func (r *relay) Typing(_ chat.ID, user chat.UserID, _ bool, _ chat.Time) {
	r.record("typing", string(user))
}
func (r *relay) PublishReadReceipt(f chat.ReadReceiptFrame) { r.record("read", string(f.UserID)) }

func (r *relay) Presence(user chat.UserID, online bool) {
	if online {
		r.record("online", string(user))
	} else {
		r.record("offline", string(user))
	}
}
func (r *relay) Watch(user chat.UserID)   { r.record("watch", string(user)) }
func (r *relay) Unwatch(user chat.UserID) { r.record("unwatch", string(user)) }
func (r *relay) Online([]chat.UserID) []chat.UserID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online
}

// want checks how often the hub made each of some calls.
func (r *relay) want(t *testing.T, want map[string]int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := make(map[string]int)
	for call := range want {
		got[call] = 0
	}
	for _, call := range r.calls {
		if _, asked := got[call]; asked {
			got[call]++
		}
	}
	equal(t, "calls of the relay", got, want)
}

// TestRemoteEntriesMayComeInAnyOrder, twice and not at all. Those out of order cost no
// read of the log if the one before comes soon.
func TestRemoteEntriesMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{Relay: new(relay)})
		id := w.channel("ada")
		ada := w.connect("ada")
		entries := w.write(id, messages("bob", 4)...)
		w.hub.ApplyRemote(entries[1:3])
		synctest.Wait() // only time can go on
		w.hub.ApplyRemote(entries[:2])
		w.hub.ApplyRemote(entries[2:])
		inOrder(t, ada.frames(t, 4), id, 1, 4)
		time.Sleep(time.Second)
		if got := w.calls["LogTo"]; got != 0 {
			t.Errorf("%d reads of the log, want 0", got)
		}

		entries = w.write(id, messages("bob", 6)...)
		w.hub.ApplyRemote(entries[5:]) // the others never come
		inOrder(t, ada.frames(t, 10), id, 1, 10)
	})
}

// TestAForgedHeadIsIgnored: the hub does not wait for entries that do not exist, and
// sends those that come.
func TestAForgedHeadIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{Relay: new(relay)})
		id := w.channel("ada")
		ada := w.connect("ada")
		forged := message("eve", "forged")
		forged.ChannelID, forged.Seq = id, 1<<40
		forged.Message.ChannelID, forged.Message.Seq = id, 1<<40
		w.hub.ApplyRemote([]chat.Entry{forged})
		time.Sleep(time.Second) // the hub reads the log
		for range 3 {
			w.hub.ApplyRemote(w.write(id, messages("bob", 400)...))
		}
		inOrder(t, ada.frames(t, 1200), id, 1, 1200)
	})
}

// TestARemoteEntryBeginsNoMembership; what the database has does.
func TestARemoteEntryBeginsNoMembership(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hub.Config{Relay: new(relay)})
	id := w.channel("ada")
	ada, eve := w.connect("ada"), w.connect("eve")
	w.publish(id, messages("ada", 2)...)
	joins := w.write(id, chat.Entry{Type: chat.EventMemberJoined, UserID: "ada", Subject: "eve"})
	after := w.write(id, messages("ada", 1)...)
	w.mu.Lock()
	w.setMember(id, "eve", false) // the entry is forged
	w.mu.Unlock()
	w.hub.ApplyRemote(joins)
	w.hub.ApplyRemote(after)
	w.hub.ApplyJoins(id, 4, nil)
	inOrder(t, ada.frames(t, 4), id, 1, 4)

	other := w.channel("ada")
	w.write(other, messages("ada", 3)...)
	w.write(other, chat.Entry{Type: chat.EventMemberJoined, UserID: "ada", Subject: "eve"})
	w.write(other, messages("ada", 2)...)
	before := len(eve.frames(t, 0))
	w.hub.ApplyJoins(other, 6, map[chat.UserID]chat.Seq{"eve": 4, "absent": 4})
	inOrder(t, eve.frames(t, before+3)[before:], other, 4, 6)
	w.hub.ApplyJoins(other, 6, map[chat.UserID]chat.Seq{"eve": 4}) // once more
	w.publish(other, messages("ada", 1)...)
	inOrder(t, eve.frames(t, before+4)[before:], other, 4, 7)
}

func TestTheRelayIsCalledNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	r := &relay{online: []chat.UserID{"dan", "ada"}}
	w := newWorld(t, hub.Config{Relay: r})
	id := w.channel("ada", "bob")
	one, two, bob := w.connect("ada"), w.connect("ada"), w.connect("bob")
	r.want(t, map[string]int{"listen " + id.String(): 1, "online ada": 1})
	online := w.hub.Online([]chat.UserID{"ada", "bob", "dan", "eve"})
	slices.Sort(online)
	equal(t, "online", online, []chat.UserID{"ada", "bob", "dan"})
	one.socket.Watch([]chat.UserID{"dan"})
	two.socket.Watch([]chat.UserID{"dan"})
	one.socket.Close()
	r.want(t, map[string]int{"watch dan": 1, "unwatch dan": 0, "offline ada": 0})
	w.hub.RemotePresence("node", "dan", true)
	two.wantFrames(t, presenceFrame("dan", true))
	w.hub.NodeGone("node")
	two.wantFrames(t, presenceFrame("dan", true), presenceFrame("dan", false))
	two.socket.Close()
	r.want(t, map[string]int{"unwatch dan": 1, "offline ada": 1, "unlisten " + id.String(): 0})
	bob.socket.Close()
	r.want(t, map[string]int{"unlisten " + id.String(): 1})
}
