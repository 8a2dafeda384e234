package client_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// patience bounds every wait of these tests; nothing is expected to take that long.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		_ = flag.Set("test.skip", "^Example") // they run the built server, and cannot skip themselves
	}
	code := testkit.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// server is a chowk that can be killed and started again at the same address.
type server struct {
	*testkit.Server
	url string
}

// startServer serves on SQLite in dir; a token is a user id.
func startServer(dir string) (*server, error) {
	binary, err := testkit.BinaryPath()
	if err != nil {
		return nil, err
	}
	address, err := testkit.Address()
	if err != nil {
		return nil, err
	}
	s, err := testkit.StartServer(testkit.Options{Binary: binary, Dir: dir, Settings: []string{
		"listen=" + address, "auth=none", "ops.listen=off", "drain.window=1s", "log.level=warn",
		"limits.commands-per-second=100000", "limits.commands-burst=100000",
	}})
	return &server{s, s.URL}, err
}

func serve(t *testing.T) *server {
	t.Helper()
	testkit.Binary(t) // skips with -short
	s, err := startServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, url, user string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{
		URL: url, Token: client.StaticToken(user),
		Backoff: client.Backoff{Base: 10 * time.Millisecond, Cap: 200 * time.Millisecond},
	}
	for _, f := range change {
		f(&o)
	}
	c, err := client.Dial(within(t), o)
	if err != nil {
		t.Fatalf("dial as %s: %v", user, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// channelOf makes a channel of two users, and their clients.
func channelOf(t *testing.T, s *server, change ...func(*client.Options)) (id chat.ID, ada, bob *client.Client) {
	t.Helper()
	ada, bob = dial(t, s.url, "ada"), dial(t, s.url, "bob", change...)
	for _, c := range []*client.Client{ada, bob} {
		if _, err := c.Channels(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	ch, err := ada.CreateChannel(within(t), chat.CreateChannelRequest{
		Name: "test", IsPrivate: true, MemberIDs: []chat.UserID{"bob"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client.Client{ada, bob} {
		if ev := next(t, c); ev.Type != chat.EventChannelJoined || ev.ChannelID != ch.ID || ev.Seq != 1 {
			t.Fatalf("got %+v, want the channel's first entry", ev)
		}
	}
	return ch.ID, ada, bob
}

// next gives the next event that is an entry of a log, or tells of one.
func next(t *testing.T, c *client.Client) client.Event {
	t.Helper()
	for {
		ev, err := c.Next(within(t))
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		if ev.Seq > 0 || ev.Type == chat.EventChannelLeft {
			return ev
		}
	}
}

func send(t *testing.T, c *client.Client, channel chat.ID, content string) client.Sent {
	t.Helper()
	sent, err := c.Send(within(t), client.Message{ChannelID: channel, Content: content})
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	return sent
}

// expectMessages wants the contents, with seqs that follow one another.
func expectMessages(t *testing.T, c *client.Client, after chat.Seq, contents ...string) {
	t.Helper()
	for i, want := range contents {
		ev := next(t, c)
		if ev.Type != chat.EventMessage || ev.Seq != after+1+int64(i) || ev.Message.Content != want {
			b, _ := json.Marshal(ev)
			t.Fatalf("got %s, want seq %d with %q", b, after+1+int64(i), want)
		}
	}
}

func numbers(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestAServerThatIsKilledLosesNothing(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	last := send(t, ada, id, "0")
	for i := 1; i < 60; i++ {
		if i%20 == 0 {
			s.Kill()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
		}
		sent := send(t, ada, id, fmt.Sprint(i))
		if sent.Seq != last.Seq+1 {
			t.Fatalf("message %d has seq %d after %d", i, sent.Seq, last.Seq)
		}
		last = sent
	}
	expectMessages(t, bob, 1, numbers(0, 60)...)
}

// TestASlowConsumerLosesNothing, and may send meanwhile.
func TestASlowConsumerLosesNothing(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s, func(o *client.Options) { o.Buffer = 8 })
	const n = 500
	var done sync.WaitGroup
	done.Go(func() {
		for i := range n {
			if _, err := ada.Send(context.Background(), client.Message{ChannelID: id, Content: fmt.Sprint(i)}); err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
	answers := 0
	for seen, want := 0, chat.Seq(2); seen < n; want++ {
		ev := next(t, bob)
		if ev.Seq != want {
			t.Fatalf("seq %d came, want %d", ev.Seq, want)
		}
		if ev.UserID == "ada" || ev.Message != nil && ev.Message.UserID == "ada" {
			seen++
		}
		if seen%25 == 1 && answers < 20 { // from the goroutine that consumes
			send(t, bob, id, "answer")
			answers++
		}
	}
	done.Wait()
}

func TestChangesAndWhoMakesThem(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	ctx := within(t)
	m := send(t, ada, id, "first")
	for _, step := range []struct {
		name string
		do   func() (chat.Seq, error)
		want chat.Entry
	}{
		{"edit", func() (chat.Seq, error) { return ada.Edit(ctx, id, m.MessageID, "second") }, chat.Entry{
			Type: chat.EventMessageUpdated, Content: "second",
		}},
		{"react", func() (chat.Seq, error) { return bob.React(ctx, id, m.MessageID, "👍") }, chat.Entry{
			Type: chat.EventMessageReaction, Emoji: "👍",
		}},
		{"unreact", func() (chat.Seq, error) { return bob.Unreact(ctx, id, m.MessageID, "👍") }, chat.Entry{
			Type: chat.EventReactionRemoved, Emoji: "👍",
		}},
		{"delete", func() (chat.Seq, error) { return ada.Delete(ctx, id, m.MessageID) }, chat.Entry{
			Type: chat.EventMessageDeleted,
		}},
	} {
		seq, err := step.do()
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, c := range []*client.Client{ada, bob} {
			ev := next(t, c)
			for ev.Seq < seq {
				ev = next(t, c)
			}
			if ev.Type != step.want.Type || ev.Seq != seq || ev.MessageID != m.MessageID || ev.Content != step.want.Content ||
				ev.Emoji != step.want.Emoji {
				t.Errorf("%s: got %+v", step.name, ev)
			}
		}
	}
	read, err := bob.MarkRead(ctx, id, 0)
	if err != nil || read.UnreadCount != 0 || read.LastReadSeq == 0 {
		t.Errorf("mark read: %+v, %v", read, err)
	}
	page, err := bob.History(ctx, id, client.Page{Limit: 10})
	if err != nil || len(page) != 0 {
		t.Errorf("history: %d messages, %v", len(page), err)
	}
	online, err := bob.Watch(ctx, []chat.UserID{"ada", "nobody"})
	if err != nil || len(online) != 1 || online[0] != "ada" {
		t.Errorf("watch: %v, %v", online, err)
	}
	bob.Typing(id, true)
	for {
		ev, err := ada.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == chat.EventTyping && ev.UserID == "bob" && ev.IsTyping {
			break
		}
	}
}

func TestLeaveAndJoin(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	ctx := within(t)
	if err := bob.Leave(ctx, id); err != nil {
		t.Fatal(err)
	}
	send(t, ada, id, "not heard")
	s.Kill() // the next connection must leave as well
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	last := send(t, ada, id, "nor this")
	seq, err := bob.Join(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"heard"}
	if seq < last.Seq { // it was not published yet, so it follows
		want = []string{"nor this", "heard"}
	}
	send(t, ada, id, "heard")
	expectMessages(t, bob, seq, want...)
}

func TestAMembershipThatEndsAndBegins(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	ctx := within(t)
	if err := ada.RemoveMember(ctx, id, "bob"); err != nil {
		t.Fatal(err)
	}
	if ev := next(t, bob); ev.Type != chat.EventChannelLeft || ev.Seq != 2 {
		t.Errorf("got %+v", ev)
	}
	if _, err := bob.Send(ctx, client.Message{ChannelID: id, Content: "x"}); refusal(err) == nil ||
		refusal(err).Code != chat.Forbidden {
		t.Errorf("send to a channel of others: %v", err)
	}
	send(t, ada, id, "not for bob")
	if err := ada.AddMembers(ctx, id, "bob"); err != nil {
		t.Fatal(err)
	}
	if ev := next(t, bob); ev.Type != chat.EventChannelJoined || ev.Seq != 4 {
		t.Errorf("got %+v", ev)
	}
	send(t, ada, id, "for bob")
	expectMessages(t, bob, 4, "for bob")
}

// TestALaterClientGoesOn from the cursors of an earlier one.
func TestALaterClientGoesOn(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	send(t, ada, id, "0")
	send(t, ada, id, "1")
	expectMessages(t, bob, 1, "0")
	cursors := bob.Cursors() // 1 is in the buffer, perhaps, and was not returned
	_ = bob.Close()
	if cursors.Channels[id] != 2 {
		t.Errorf("the cursor is %d, want 2", cursors.Channels[id])
	}
	send(t, ada, id, "2")
	bob = dial(t, s.url, "bob", func(o *client.Options) { o.Resume = &cursors })
	expectMessages(t, bob, 2, "1", "2")

	cursors.Epoch = "another"
	bob = dial(t, s.url, "bob", func(o *client.Options) { o.Resume = &cursors })
	if ev := next(t, bob); ev.Type != client.Resync || ev.ChannelID != id || ev.Seq != 4 ||
		ev.Reason != client.ReasonEpoch {
		t.Errorf("after another epoch: %+v", ev)
	}
	send(t, ada, id, "3")
	expectMessages(t, bob, 4, "3")
}

// TestADrainingServerIsLeft when it says so, and what is under way arrives.
func TestADrainingServerIsLeft(t *testing.T) {
	s := serve(t)
	id, ada, bob := channelOf(t, s)
	send(t, ada, id, "0")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	send(t, ada, id, "1")
	expectMessages(t, bob, 1, "0", "1")
}
