package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestSIGTERMDrains checks that clients receive a notice and close code 1012,
// acknowledged messages are stored, and the exit code is 0.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database, "auth=none", "drain.window=100ms")
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		var acked atomic.Int64
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := 0; ; i++ {
				b, _ := json.Marshal(map[string]any{
					"type": "new_message", "data": map[string]any{"channel_id": id, "content": fmt.Sprint(i)},
				})
				if ada.conn.Write(t.Context(), websocket.MessageText, b) != nil {
					return
				}
			}
		})
		ada.expect("ack", nil)
		if err := s.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if got := bob.expect("notice", nil); got.Code != "draining" {
			t.Errorf("got %s", got.raw)
		}
		if code := bob.ended(); code != websocket.StatusServiceRestart {
			t.Errorf("closed with %v, want 1012", code)
		}
		sending.Wait()
		ada.ended()
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, f := range ada.frames {
			if f.Type == "ack" && f.Response.Status == "sent" {
				acked.Store(max(acked.Load(), f.Response.Seq))
			}
		}
		again := serve(t, database, "auth=none")
		if last := again.dial("bob").hello.Channels[0].LastSeq; last < acked.Load() {
			t.Errorf("seq %d was acknowledged, the stored head is %d", acked.Load(), last)
		}
	})
}

// TestKilledServerKeepsAcknowledgedMessages checks that clients can resume from their
// cursors after a restart.
func TestKilledServerKeepsAcknowledgedMessages(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database, "auth=none", "limits.commands-per-second=100000", "limits.commands-burst=100000")
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		epoch := bob.hello.Epoch
		var last frame
		for i := range 200 {
			last = ada.send(id, fmt.Sprint(i))
		}
		s.kill()
		s = serve(t, database, "auth=none")
		bob = s.dial("bob")
		if bob.hello.Epoch != epoch {
			t.Errorf("the epoch changed from %s to %s", epoch, bob.hello.Epoch)
		}
		bob.ok("resume", map[string]any{"epoch": epoch, "cursors": map[string]any{id: 1}})
		for seq := int64(2); seq <= last.Response.Seq; seq++ {
			if got := bob.expect("message", nil); got.Seq != seq || got.Data.Content != fmt.Sprint(seq-2) {
				t.Fatalf("got %s, want seq %d", got.raw, seq)
			}
		}
	})
}

// TestD07DatabaseOutage checks that requests fail fast, typing continues, and the
// server recovers with the database.
func TestD07DatabaseOutage(t *testing.T) {
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "auth=none")
	id := s.channel("ada", "bob")
	ada, bob := s.dial("ada"), s.dial("bob")
	ada.send(id, "before")
	pg.Stop()
	for {
		f := ada.ask("new_message", map[string]any{"channel_id": id, "content": "during", "client_id": "c"})
		if f.Type == "error" {
			if f.Code != "unavailable" && f.Code != "overloaded" {
				t.Errorf("refused with %s", f.raw)
			}
			if !strings.Contains(f.raw, "retry_after_ms") || strings.Contains(f.raw, "pg") || strings.Contains(f.raw, "SQL") {
				t.Errorf("refused with %s", f.raw)
			}
			break
		}
	}
	for _, call := range []string{"GET /channels/", "POST /channels/" + id + "/messages"} {
		method, path, _ := strings.Cut(call, " ")
		r := s.request(method, path, "ada", map[string]any{"content": "during"})
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" ||
			strings.Contains(string(r.body), "pg") {
			t.Errorf("%s: %d %s, %v", call, r.status, r.body, r.header)
		}
	}
	ada.ok("typing", map[string]any{"channel_id": id})
	bob.expect("typing", nil)
	if _, resp, err := s.tryDial("/ws/eve", "eve", chat.Protocol); err == nil || resp == nil ||
		resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a new socket without a database: %v, %v; want status 503 and Retry-After", resp, err)
	}
	if r, err := http.Get(s.url + "/readyz"); err != nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz: %v, %v; want status 503", r, err)
	}
	pg.Start()
	for {
		f := ada.ask("new_message", map[string]any{"channel_id": id, "content": "after", "client_id": "d"})
		if f.Type == "ack" {
			break
		}
		<-time.After(time.Duration(f.RetryAfter) * time.Millisecond) // too many errors would close the socket
	}
	bob.expect("message", func(f *frame) bool { return f.Data.Content == "after" })
}

// TestLogRecordsConnections checks the lines and the total that operators of the old
// system searched for.
func TestLogRecordsConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	s.dial("ada")
	if line := s.Log.Await(t, `"user connected"`, `"ada"`); line["total_connections"] != 1.0 {
		t.Errorf("got %v", line)
	}
	_ = s.dial("bob").conn.CloseNow()
	s.Log.Await(t, `"user disconnected"`, `"bob"`)
}

func TestInvalidHandshakes(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	good := []string{
		"Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key",
		"dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, c := range []struct {
		name   string
		change map[string]string
		status int
	}{
		{"missing Upgrade", map[string]string{"Upgrade": "h2c"}, 400},
		{"missing Connection", map[string]string{"Connection": "keep-alive"}, 400},
		{"unsupported version", map[string]string{"Sec-WebSocket-Version": "8"}, 426},
		{"missing key", map[string]string{"Sec-WebSocket-Key": ""}, 400},
		{"short key", map[string]string{"Sec-WebSocket-Key": "c2hvcnQ="}, 400},
	} {
		var header []string
		for i := 0; i < len(good); i += 2 {
			v, changed := c.change[good[i]]
			if !changed {
				v = good[i+1]
			}
			header = append(header, good[i], v)
		}
		r := s.request(http.MethodGet, "/ws/ada", "ada", nil, header...)
		if r.status != c.status || !strings.Contains(string(r.body), `"detail"`) {
			t.Errorf("%s: %d %s, want %d", c.name, r.status, r.body, c.status)
		}
	}
}

func TestDevelopmentModeRequiresLoopback(t *testing.T) {
	t.Parallel()
	fails(t, "auth.allow-insecure", "serve", "--auth=none", "--listen=0.0.0.0:0", "--data-dir="+t.TempDir())
}

// TestTwoServersCannotShareOneSQLiteFile checks that a second server does not start:
// it would publish only to its own sockets.
func TestTwoServersCannotShareOneSQLiteFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "chowk.db")
	serve(t, "database-url=sqlite:"+file, "auth=none")
	fails(t, "another chowk", "serve", "--auth=none", "--listen=127.0.0.1:0", "--database-url=sqlite:"+file)
}

// TestDrainUnderLoadLosesNothing checks that each send is acknowledged, refused, or
// left unanswered when the socket ends. An acknowledged message is stored once, a
// refused one is not stored, and an unanswered one is stored once after it is sent
// again.
func TestDrainUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(
			t, database, "auth=none", "drain.window=500ms", "limits.commands-per-second=100000", "limits.commands-burst=100000",
		)
		const senders = 20
		users := make([]string, senders)
		for i := range users {
			users[i] = fmt.Sprintf("u%d", i)
		}
		id := s.channel("ada", users...)
		type outcome struct {
			acked   map[string]int64 // seq by client_id
			refused map[string]bool
			open    []string // unanswered
		}
		outcomes := make([]outcome, senders)
		var running sync.WaitGroup
		started := make(chan struct{}, senders)
		for i, u := range users {
			c := s.dial(u)
			running.Go(func() {
				out := outcome{acked: map[string]int64{}, refused: map[string]bool{}}
				var sent []string
				for n := 0; ; n++ {
					cid := fmt.Sprintf("%s-%d", u, n)
					b, _ := json.Marshal(map[string]any{
						"type": "new_message", "id": cid, "data": map[string]any{"channel_id": id, "content": cid, "client_id": cid},
					})
					if c.conn.Write(t.Context(), websocket.MessageText, b) != nil {
						break
					}
					sent = append(sent, cid)
					if n%8 == 7 && c.wait("answer", func(f *frame) bool { return f.ID == cid }) == nil {
						break
					}
					if n == 16 {
						started <- struct{}{}
					}
				}
				if code := c.ended(); code != websocket.StatusServiceRestart {
					t.Errorf("%s was closed with %v", u, code)
				}
				noticed := false
				for _, f := range c.frames {
					noticed = noticed || f.Type == "notice" && f.Code == "draining"
					switch {
					case f.Type == "ack" && f.Event == "new_message":
						out.acked[f.ID] = f.Response.Seq
					case f.Type == "error" && f.Event == "new_message":
						out.refused[f.ID] = true
					}
				}
				if !noticed {
					t.Errorf("%s was closed without a notice", u)
				}
				for _, cid := range sent {
					if out.acked[cid] == 0 && !out.refused[cid] {
						out.open = append(out.open, cid)
					}
				}
				outcomes[i] = out
			})
		}
		for range senders {
			<-started
		}
		if err := s.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		running.Wait()
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}

		s = serve(t, database, "auth=none", "limits.commands-per-second=100000", "limits.commands-burst=100000")
		stored := make(map[string]int64)
		ada := s.dial("ada")
		ada.ok("resume", map[string]any{"epoch": ada.hello.Epoch, "cursors": map[string]any{id: 0}})
		for seq := int64(1); seq <= ada.hello.Channels[0].LastSeq; seq++ {
			f := ada.wait("entry", func(f *frame) bool { return f.ChannelID == id && f.Seq > 0 })
			if f == nil || f.Seq != seq {
				t.Fatalf("got %+v, want seq %d", f, seq)
			}
			if f.Type == "message" {
				if stored[f.Data.Content] != 0 {
					t.Errorf("%s is stored twice", f.Data.Content)
				}
				stored[f.Data.Content] = seq
			}
		}
		acked, refused, open, lost := 0, 0, 0, 0
		for i, out := range outcomes {
			acked, refused, open = acked+len(out.acked), refused+len(out.refused), open+len(out.open)
			for cid, seq := range out.acked {
				if stored[cid] != seq {
					t.Errorf("%s was acknowledged with seq %d and is stored with seq %d", cid, seq, stored[cid])
				}
			}
			for cid := range out.refused {
				if stored[cid] != 0 {
					t.Errorf("%s was refused and is stored", cid)
				}
			}
			for _, cid := range out.open {
				if stored[cid] != 0 {
					lost++
				}
			}
			if len(out.open) > 0 {
				cid := out.open[0]
				f := s.dial(users[i]).ok("new_message", map[string]any{"channel_id": id, "content": cid, "client_id": cid})
				if before := stored[cid]; before != 0 && f.Response.Seq != before {
					t.Errorf("%s is stored with seq %d, and has seq %d when sent again", cid, before, f.Response.Seq)
				}
			}
		}
		t.Logf("%d acknowledged, %d refused, %d unanswered when the socket ended", acked, refused, open)
		if lost > 0 {
			t.Errorf("%d of the %d unanswered messages were stored: their acks were lost", lost, open)
		}
	})
}
