package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// coderSocket is coder/websocket as in its documentation.
type coderSocket struct{ c *coder.Conn }

func (s coderSocket) write(p []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.c.Write(ctx, coder.MessageText, p)
}

func newCoder() (peer, error) {
	g := &groups{byName: make(map[string]map[member]struct{})}
	return peer{
		socket: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionDisabled})
			if err != nil {
				return
			}
			defer c.CloseNow()
			s := coderSocket{c}
			g.join(groupOf(r), s)
			defer g.leave(groupOf(r), s)
			for {
				_, p, err := c.Read(context.Background())
				if err != nil {
					return
				}
				if s.write(p) != nil {
					return
				}
			}
		}),
		publish: func(group string, payload []byte) error {
			g.each(group, func(m member) { _ = m.write(payload) })
			return nil
		},
	}, nil
}

// gorillaSocket is gorilla/websocket with pooled write buffers, small read buffers and
// a mutex instead of a writer goroutine, which is leaner than usual.
type gorillaSocket struct {
	mu sync.Mutex
	c  *gorilla.Conn
}

func (s *gorillaSocket) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.WriteMessage(gorilla.TextMessage, p)
}

func newGorilla() (peer, error) {
	g := &groups{byName: make(map[string]map[member]struct{})}
	up := gorilla.Upgrader{
		ReadBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	return peer{
		socket: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			s := &gorillaSocket{c: c}
			g.join(groupOf(r), s)
			defer g.leave(groupOf(r), s)
			for {
				_, p, err := c.ReadMessage()
				if err != nil {
					return
				}
				if s.write(p) != nil {
					return
				}
			}
		}),
		publish: func(group string, payload []byte) error {
			prepared, err := gorilla.NewPreparedMessage(gorilla.TextMessage, payload)
			if err != nil {
				return err
			}
			g.each(group, func(m member) {
				s := m.(*gorillaSocket)
				s.mu.Lock()
				_ = s.c.WritePreparedMessage(prepared)
				s.mu.Unlock()
			})
			return nil
		},
	}, nil
}

// gwsSocket is lxzan/gws with its own broadcaster, which sends through the socket's
// queue.
type gwsSocket struct{ c *gws.Conn }

func (s gwsSocket) write(p []byte) error { return s.c.WriteMessage(gws.OpcodeText, p) }

type gwsEvents struct {
	gws.BuiltinEventHandler
	g *groups
}

func (e *gwsEvents) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	_ = c.WriteMessage(m.Opcode, m.Bytes())
}

func (e *gwsEvents) OnClose(c *gws.Conn, _ error) {
	if name, ok := c.Session().Load("group"); ok {
		e.g.leave(name.(string), gwsSocket{c})
	}
}

func newGWS() (peer, error) {
	e := &gwsEvents{g: &groups{byName: make(map[string]map[member]struct{})}}
	up := gws.NewUpgrader(e, &gws.ServerOption{ReadBufferSize: 1024})
	return peer{
		socket: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r)
			if err != nil {
				return
			}
			c.Session().Store("group", groupOf(r))
			e.g.join(groupOf(r), gwsSocket{c})
			go c.ReadLoop() // ends with the socket
		}),
		publish: func(group string, payload []byte) error {
			b := gws.NewBroadcaster(gws.OpcodeText, payload)
			defer b.Close()
			e.g.each(group, func(m member) { _ = b.Broadcast(m.(gwsSocket).c) })
			return nil
		},
	}, nil
}

// newCentrifuge is the library behind Centrifugo with its cheapest options: pooled
// buffers, no queue for replies, no compression, no history, no presence, and with a
// delay a timer instead of a writer goroutine. An RPC answers what clients send.
func newCentrifuge(delay time.Duration) (peer, error) {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelNone})
	if err != nil {
		return peer{}, err
	}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		group, _ := ctx.Value(groupKey{}).(string)
		return centrifuge.ConnectReply{
			Credentials:       &centrifuge.Credentials{UserID: "user"},
			Subscriptions:     map[string]centrifuge.SubscribeOptions{group: {}},
			WriteDelay:        delay,
			WriteWithTimer:    delay > 0,
			ReplyWithoutQueue: true,
			QueueInitialCap:   1,
		}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnRPC(func(e centrifuge.RPCEvent, answer centrifuge.RPCCallback) {
			answer(centrifuge.RPCReply{Data: e.Data}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return peer{}, err
	}
	h := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize: 512, UseWriteBufferPool: true, CheckOrigin: func(*http.Request) bool { return true },
	})
	return peer{
		socket: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), groupKey{}, groupOf(r))))
		}),
		publish: func(group string, payload []byte) error {
			_, err := node.Publish(group, payload)
			return err
		},
	}, nil
}

type groupKey struct{}
