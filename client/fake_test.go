package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// fake is a server that follows a script: one function for each connection in
// turn, the last one for all that follow.
type fake struct {
	*httptest.Server
	dials atomic.Int64
	done  sync.WaitGroup
}

// talk is one connection of a fake.
type talk struct {
	t      *testing.T
	ctx    context.Context
	conn   *websocket.Conn
	resume string // of the handshake
}

// request is what a client sends.
type request struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data struct {
		ChannelID chat.ID              `json:"channel_id"`
		ClientID  string               `json:"client_id"`
		Content   string               `json:"content"`
		Epoch     string               `json:"epoch"`
		Cursors   map[chat.ID]chat.Seq `json:"cursors"`
	} `json:"data"`
}

func newFake(t *testing.T, script ...func(s *talk)) *fake {
	t.Helper()
	f := &fake{}
	ctx, stop := context.WithCancel(context.Background())
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.done.Add(1)
		defer f.done.Done()
		n := int(f.dials.Add(1)) - 1
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{chat.Protocol}})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		script[min(n, len(script)-1)](&talk{t, ctx, conn, r.URL.Query().Get("resume")})
	}))
	t.Cleanup(func() {
		stop()
		f.CloseClientConnections()
		f.Close()
		f.done.Wait()
	})
	return f
}

var room = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")

// say sends frames as they are.
func (s *talk) say(frames ...string) bool {
	for _, f := range frames {
		if s.conn.Write(s.ctx, websocket.MessageText, []byte(f)) != nil {
			return false
		}
	}
	return true
}

func (s *talk) hello(epoch string, last int) {
	s.say(fmt.Sprintf(`{"type":"connection","status":"connected","user_id":"ada","epoch":%q,"durability":"disk",`+
		`"heartbeat_s":30,"channels":[{"id":%q,"last_seq":%d,"last_read_seq":0,"unread_count":0}]}`,
		epoch, room, last))
}

func message(seq int) string {
	return fmt.Sprintf(
		`{"type":"message","channel_id":%q,"seq":%d,"data":{"id":%q,"channel_id":%[1]q,`+
			`"seq":%[2]d,"user_id":"bob","content":"%[2]d"}}`,
		room, seq, chat.NewID(),
	)
}

// hear reads the client's next request, but for pings, which it answers.
func (s *talk) hear() (r request, ok bool) {
	for {
		_, b, err := s.conn.Read(s.ctx)
		if err != nil {
			return r, false
		}
		if err := json.Unmarshal(b, &r); err != nil {
			s.t.Errorf("the client sent %s", b)
		}
		if r.Type != "ping" {
			return r, true
		}
		s.say(`{"type":"pong"}`)
	}
}

// hearOf reads until a request of this type.
func (s *talk) hearOf(kind string) (request, bool) {
	for {
		r, ok := s.hear()
		if !ok || r.Type == kind {
			return r, ok
		}
	}
}

func (s *talk) ack(r request, response string) {
	s.say(fmt.Sprintf(`{"type":"ack","event":%q,"id":%q,"response":%s}`, r.Type, r.ID, response))
}

func (s *talk) refuse(r request, code string, retryMS int) {
	s.say(
		fmt.Sprintf(
			`{"type":"error","event":%q,"id":%q,"code":%q,"message":"no","retry_after_ms":%d}`, r.Type, r.ID, code, retryMS,
		),
	)
}

// sent is the ack's response of a message.
func sent(seq int) string {
	return fmt.Sprintf(`{"status":"sent","message_id":%q,"seq":%d,"created_at":"2026-01-02T15:04:05Z"}`, chat.NewID(), seq)
}

// linger reads until the client goes.
func (s *talk) linger() {
	for {
		if _, ok := s.hear(); !ok {
			return
		}
	}
}

func dialFake(t *testing.T, f *fake, change ...func(*client.Options)) *client.Client {
	t.Helper()
	return dial(
		t, f.URL, "ada",
		append([]func(*client.Options){func(o *client.Options) { o.Backoff.Cap = 20 * time.Millisecond }}, change...)...,
	)
}

// expectSeqs wants entries with these seqs of the room.
func expectSeqs(t *testing.T, c *client.Client, seqs ...chat.Seq) {
	t.Helper()
	for _, want := range seqs {
		if ev := next(t, c); ev.ChannelID != room || ev.Seq != want || ev.Type != chat.EventMessage {
			t.Fatalf("got %s %d, want message %d", ev.Type, ev.Seq, want)
		}
	}
}
