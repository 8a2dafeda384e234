package relay

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

func always() bool { return true }

func messageEntry(channel chat.ID, seq chat.Seq, content string) chat.Entry {
	return chat.Entry{
		Type: chat.EventMessage, ChannelID: channel, Seq: seq, UserID: "ada",
		Message: &chat.MessageData{ChannelID: channel, Seq: seq, UserID: "ada", Content: content},
	}
}

// sendAll sends what is in an outbox, and closes it.
func sendAll(o *outbox) {
	o.close()
	o.run()
}

func TestOutboxSendsEntriesOfOneChannelTogether(t *testing.T) {
	one, two := chat.NewID(), chat.NewID()
	var r recorder
	o := newOutbox(testEnv(), 1<<20, r.publish, always)
	first := []chat.Entry{messageEntry(one, 1, "a"), messageEntry(one, 2, "b")}
	second := []chat.Entry{messageEntry(two, 7, "c")}
	join := chat.Entry{Type: chat.EventMemberJoined, ChannelID: two, Seq: 8, Subject: "eve"}
	third := []chat.Entry{messageEntry(two, 9, "d")}
	var all []chat.Entry
	for _, entries := range [][]chat.Entry{first, second, {join}, third} {
		all = append(all, entries...)
	}
	o.put(outgoing{kind: kindEvents, entries: all})
	sendAll(o)
	equal(t, "messages", r.messages, []sent{
		{kindEvents, toChannel + one.String(), first},
		{kindEvents, toChannel + two.String(), second},
		{kindJoins, toAll, joinsNote{Channel: two, Seq: 8, Users: []chat.UserID{"eve"}}},
		{kindEvents, toChannel + two.String(), third},
	})
}

func TestOutboxBoundsMessages(t *testing.T) {
	channel := chat.NewID()
	var r recorder
	o := newOutbox(testEnv(), 1<<20, r.publish, always)
	var entries []chat.Entry
	for i := range maxMessageEntries + 1 {
		entries = append(entries, messageEntry(channel, chat.Seq(i+1), "x"))
	}
	long := strings.Repeat("x", maxMessageBytes)
	entries = append(entries, messageEntry(channel, 100, long), messageEntry(channel, 101, "after"))
	o.put(outgoing{kind: kindEvents, entries: entries})
	members := chat.Entry{Type: chat.EventChannelJoined, ChannelID: channel, Seq: 102}
	members.InitialMembers = make([]chat.UserID, maxMessageJoins+1)
	o.put(outgoing{kind: kindEvents, entries: []chat.Entry{members}})
	sendAll(o)
	var sizes []int
	for _, m := range r.messages {
		switch body := m.Body.(type) {
		case []chat.Entry:
			sizes = append(sizes, len(body))
		case joinsNote:
			sizes = append(sizes, len(body.Users))
		}
	}
	equal(t, "entries or users in each message", sizes, []int{maxMessageEntries, 1, 1, 1, maxMessageJoins, 1})
}

func TestOutboxNamesTheChannelOfEntriesThatAreTooLarge(t *testing.T) {
	channel := chat.NewID()
	var r recorder
	o := newOutbox(testEnv(), 1<<20, func(k kind, to string, _ time.Time, body any) error {
		if k == kindEvents {
			return errTooLarge
		}
		return r.publish(k, to, time.Time{}, body)
	}, always)
	o.put(outgoing{kind: kindEvents, entries: []chat.Entry{messageEntry(channel, 1, "x")}})
	sendAll(o)
	equal(t, "messages", r.messages, []sent{{kindHead, toChannel + channel.String(), headNote{Channel: channel}}})
}

// TestOutboxReportsWhatItDropped: typing is dropped first, and without a report.
func TestOutboxReportsWhatItDropped(t *testing.T) {
	var r recorder
	o := newOutbox(testEnv(), 1000, r.publish, always)
	user := outgoing{kind: kindUser, subject: toAll}
	for range 2 { // 256 bytes each
		o.put(user)
	}
	o.putOptional(outgoing{kind: kindTyping})
	o.mu.Lock()
	if o.lost {
		t.Error("dropped typing is reported")
	}
	o.mu.Unlock()
	o.put(user)
	o.put(user) // dropped
	sendAll(o)
	equal(t, "messages", r.messages, []sent{
		{kindUser, toAll, nil}, {kindUser, toAll, nil}, {kindUser, toAll, nil}, {kindLost, toAll, struct{}{}},
	})
	if got := count(o.metrics.Dropped, "queue"); got != 2 {
		t.Errorf("%v dropped messages are counted, want 2", got)
	}
}

// TestOutboxReportsWhatCouldNotBeSent with the next message that can.
func TestOutboxReportsWhatCouldNotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{err: errors.New("no connection")}
		o := newOutbox(testEnv(), 1<<20, r.publish, always)
		go o.run() // ends when the outbox is closed
		o.put(outgoing{kind: kindUser, subject: toAll})
		synctest.Wait()
		r.err = nil
		o.put(outgoing{kind: kindHead, subject: toAll})
		synctest.Wait()
		equal(t, "messages", r.messages, []sent{{kindHead, toAll, nil}, {kindLost, toAll, struct{}{}}})
		o.close()
		if err := o.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestOutboxKeepsNothingWithoutPeers(t *testing.T) {
	var r recorder
	o := newOutbox(testEnv(), 1<<20, r.publish, func() bool { return false })
	o.put(outgoing{kind: kindUser})
	sendAll(o)
	equal(t, "messages", r.messages, nil)
}
