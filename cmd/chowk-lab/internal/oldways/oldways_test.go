package oldways

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// Both models have a pool of 2 + 1 with a timeout of one second here.
const (
	pool     = 3
	patience = 30 * time.Second
)

type bed struct {
	t       *testing.T
	db      *Database
	server  *Server
	channel string
}

func start(t *testing.T, way Way) *bed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	db, err := Open(ctx, pgtest.Database(t), "bench_test")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, db: db, channel: uuid.NewString()}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := db.Prepare(ctx, b.channel, []string{"u0", "u1", "u2", "u3", "u4", "u5"}); err != nil {
		t.Fatal(err)
	}
	url, err := db.URL(b.name())
	if err != nil {
		t.Fatal(err)
	}
	if b.server, err = Start(ctx, Options{URL: url, Way: way, Size: 2, Overflow: 1, Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// name distinguishes this test's connections on a shared server; PostgreSQL keeps 63
// bytes of it.
func (b *bed) name() string { return b.channel }

func (b *bed) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bed) dial(user string) *websocket.Conn {
	b.t.Helper()
	conn, _, err := websocket.Dial(b.context(), strings.Replace(b.server.URL(), "http", "ws", 1)+"/api/v1/ws/"+user, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func (b *bed) write(conn *websocket.Conn, kind, content string) error {
	text := fmt.Sprintf(`{"type":%q,"data":{"channel_id":%q,"content":%q}}`, kind, b.channel, content)
	return conn.Write(b.context(), websocket.MessageText, []byte(text))
}

// until reads frames until one of a kind arrives.
func (b *bed) until(conn *websocket.Conn, kinds ...string) (map[string]any, error) {
	for {
		_, text, err := conn.Read(b.context())
		if err != nil {
			return nil, err
		}
		f := make(map[string]any)
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, err
		}
		for _, kind := range kinds {
			if f["type"] == kind {
				return f, nil
			}
		}
	}
}

// join opens a socket and joins the channel.
func (b *bed) join(user string) *websocket.Conn {
	b.t.Helper()
	conn := b.dial(user)
	err := b.write(conn, "join_channel", "")
	if err == nil {
		var f map[string]any
		if f, err = b.until(conn, "ack", "error"); err == nil && f["type"] != "ack" {
			err = fmt.Errorf("join: %v", f)
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return conn
}

// inUse waits until this many connections are in use.
func (b *bed) inUse(want int) {
	b.t.Helper()
	for until := time.Now().Add(patience); ; {
		_, n, err := b.db.Connections(b.context(), b.name())
		if err != nil {
			b.t.Fatal(err)
		}
		if n == want {
			return
		}
		if time.Now().After(until) {
			b.t.Fatalf("%d connections are in use, want %d", n, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAConnectionPerSocketAcceptsAsManySocketsAsConnections(t *testing.T) {
	t.Parallel()
	b := start(t, PerSocket)
	first := b.join("u0")
	for i := 1; i < pool; i++ {
		b.join(fmt.Sprint("u", i))
	}
	b.inUse(pool) // no one sends anything

	one := b.dial("u4")
	if _, err := b.until(one, "connection"); err != nil {
		t.Fatalf("the upgrade is always accepted: %v", err)
	}
	if _, err := b.until(one, "ack"); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("one socket too many ended with %v, want close 1000 after the pool's timeout", err)
	}

	if err := b.write(first, "new_message", "hello"); err != nil {
		t.Fatal(err)
	}
	if f, err := b.until(first, "ack", "error"); err != nil || f["type"] != "ack" {
		t.Errorf("the accepted sockets go on: %v %v", f, err)
	}
	_ = first.CloseNow()
	b.inUse(pool - 1)
	b.join("u5")
}

func TestAConnectionPerEventFailsWithOneClientThatStopsReading(t *testing.T) {
	t.Parallel()
	b := start(t, PerEvent)
	b.join("u0") // and never reads again
	var senders []*websocket.Conn
	for i := 1; i < 6; i++ {
		senders = append(senders, b.join(fmt.Sprint("u", i)))
	}
	b.inUse(0) // sockets alone hold nothing

	content := strings.Repeat("x", 200_000)
	refused := make(chan string, len(senders))
	var all sync.WaitGroup
	for _, conn := range senders {
		all.Go(func() { // ends with its socket, or when it is refused
			for b.write(conn, "new_message", content) == nil {
				f, err := b.until(conn, "ack", "error")
				if err != nil {
					return
				}
				if f["type"] == "error" {
					refused <- fmt.Sprint(f["message"])
					return
				}
			}
		})
	}
	b.inUse(pool) // and they stay in use
	select {
	case why := <-refused:
		if !strings.Contains(why, "QueuePool limit of size 2 overflow 1 reached") {
			t.Errorf("refused with %q", why)
		}
	case <-time.After(patience):
		t.Error("no one was refused")
	}
	b.inUse(pool)
	for _, conn := range senders {
		_ = conn.CloseNow()
	}
	all.Wait()
}
