// Package oldways models two ways in which a chat server can hold database connections,
// for `chowk-lab incident`: for as long as a socket is open, and for as long as an
// event takes, broadcast included. The second was the repair of the first.
//
// The models are faithful to the server of the incident in what matters here: the pool
// of 10 + 20 with a timeout of 30 s, the order of steps within an event (check, insert,
// commit, read back, notify all members one after the other, answer) and the old
// protocol. Its other faults are left out. This is the only code besides
// internal/database that uses a database driver, because it shows what that package
// makes impossible.
package oldways

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Way is how long a connection is held.
type Way int

// The ways.
const (
	PerSocket Way = iota // as long as a socket is open
	PerEvent             // as long as an event takes
)

// Options configure a model server.
type Options struct {
	// URL is the database's, after Prepare.
	URL string
	Way Way
	// Size connections are kept open, and Overflow more are opened under load; Timeout is
	// how long a caller waits for one.
	Size, Overflow int
	Timeout        time.Duration
	// SendBuffer is the kernel's buffer of each socket, in bytes; 0 for the system's
	// default. A small one shortens an experiment.
	SendBuffer int
}

// Server is a model server on a loopback address.
type Server struct {
	options Options
	pool    *pgxpool.Pool
	http    *http.Server
	url     string

	end      context.CancelFunc // for all sockets: the context of the process
	handlers sync.WaitGroup
	serving  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[*client]struct{}
	joined map[string]map[*client]struct{} // by channel
}

// client is one socket.
type client struct {
	user string
	conn *websocket.Conn
}

const (
	maxFrame      = 16 << 20
	headerTimeout = 5 * time.Second
)

// Start starts a server.
func Start(ctx context.Context, o Options) (*Server, error) {
	c, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	c.MinConns, c.MaxConns = int32(o.Size), int32(o.Size+o.Overflow)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{
		options: o, pool: pool, url: "http://" + listener.Addr().String(), open: make(map[*client]struct{}),
		joined: make(map[string]map[*client]struct{}),
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s.end = end
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/ws/{user_id}", func(w http.ResponseWriter, r *http.Request) { s.socket(life, w, r) })
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ConnState: o.shrink}
	s.serving.Go(func() { _ = s.http.Serve(listener) }) // ends when Close closes it, and then returns no useful error
	return s, nil
}

// shrink sets a new connection's send buffer.
func (o *Options) shrink(nc net.Conn, state http.ConnState) {
	if tcp, ok := nc.(*net.TCPConn); ok && state == http.StateNew && o.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(o.SendBuffer) // it only shortens the experiment
	}
}

// URL is the server's.
func (s *Server) URL() string { return s.url }

// Close stops the server and closes all sockets.
func (s *Server) Close() error {
	err := s.http.Close()
	s.end()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.conn.CloseNow()
	}
	s.mu.Unlock()
	s.handlers.Wait()
	s.serving.Wait()
	s.pool.Close()
	return err
}

// begin counts a handler, unless Close has begun.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.handlers.Add(1)
	return true
}

// socket handles a WebSocket from beginning to end.
func (s *Server) socket(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	defer s.handlers.Done()
	conn, err := websocket.Accept(w, r,
		&websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has responded
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed already
	conn.SetReadLimit(maxFrame)
	c := &client{user: r.PathValue("user_id"), conn: conn}
	s.enter(c)
	defer s.leave(c)
	// The upgrade was always accepted, and all users were notified, before the database
	// was used.
	s.notifyAll(ctx, map[string]any{"type": "presence", "user_id": c.user, "is_online": true, "last_seen": now()})
	s.tell(ctx, c, map[string]any{"type": "connection", "status": "connected", "user_id": c.user, "timestamp": now()})
	if s.options.Way == PerSocket {
		s.perSocket(ctx, c)
	} else {
		s.perEvent(ctx, c)
	}
}

// perSocket holds one session from the first statement to the end of the socket.
func (s *Server) perSocket(ctx context.Context, c *client) {
	session, err := s.session(ctx)
	if err != nil {
		_ = c.conn.Close(websocket.StatusNormalClosure, "") // as it was: without a reason
		return
	}
	defer session.close(ctx)
	if session.channels(ctx, c.user) != nil {
		return
	}
	for {
		e, err := s.next(ctx, c)
		if err != nil {
			return
		}
		s.handle(ctx, c, e, session)
	}
}

// perEvent opens a session for the list of channels, and then one for each event.
func (s *Server) perEvent(ctx context.Context, c *client) {
	session, err := s.session(ctx)
	if err != nil {
		_ = c.conn.Close(websocket.StatusNormalClosure, "")
		return
	}
	err = session.channels(ctx, c.user)
	session.close(ctx)
	if err != nil {
		return
	}
	for {
		e, err := s.next(ctx, c)
		if err != nil {
			return
		}
		session, err := s.session(ctx)
		if err != nil {
			s.tell(ctx, c, map[string]any{"type": "error", "message": err.Error(), "timestamp": now()})
			continue
		}
		s.handle(ctx, c, e, session)
		session.close(ctx)
	}
}

// event is what a client sends; the old protocol calls it so.
type event struct {
	Type string `json:"type"`
	Data struct {
		ChannelID string `json:"channel_id"`
		Content   string `json:"content"`
	} `json:"data"`
}

func (s *Server) next(ctx context.Context, c *client) (e event, err error) {
	_, b, err := c.conn.Read(ctx)
	if err != nil {
		return e, err
	}
	if json.Unmarshal(b, &e) != nil {
		e.Type = "not JSON"
	}
	return e, nil
}

// handle executes one event in its session.
func (s *Server) handle(ctx context.Context, c *client, e event, session *session) {
	var response map[string]any
	var err error
	switch e.Type {
	case "join_channel":
		response, err = s.join(ctx, c, e, session)
	case "new_message":
		response, err = s.message(ctx, c, e, session)
	default:
		err = errors.New("Unknown event type: " + e.Type)
	}
	if err != nil {
		s.tell(ctx, c, map[string]any{"type": "error", "message": err.Error(), "timestamp": now()})
		return
	}
	s.tell(ctx, c, map[string]any{"type": "ack", "event": e.Type, "response": response, "timestamp": now()})
}

func (s *Server) join(ctx context.Context, c *client, e event, session *session) (map[string]any, error) {
	if ok, err := session.member(ctx, e.Data.ChannelID, c.user); err != nil || !ok {
		return map[string]any{"error": "Access denied to channel"}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined[e.Data.ChannelID] == nil {
		s.joined[e.Data.ChannelID] = make(map[*client]struct{})
	}
	s.joined[e.Data.ChannelID][c] = struct{}{}
	return map[string]any{"status": "joined", "channel_id": e.Data.ChannelID}, nil
}

// message stores a message and notifies the members of the channel, one after the
// other, before its session ends. This is the defect.
func (s *Server) message(ctx context.Context, c *client, e event, session *session) (map[string]any, error) {
	if ok, err := session.member(ctx, e.Data.ChannelID, c.user); err != nil || !ok {
		return map[string]any{"error": "Access denied to channel"}, err
	}
	id := uuid.NewString()
	created, err := session.insert(ctx, id, e.Data.ChannelID, c.user, e.Data.Content)
	if err != nil {
		return nil, err
	}
	frame, err := json.Marshal(map[string]any{
		"type": "message", "channel_id": e.Data.ChannelID, "timestamp": now(),
		"data": map[string]any{
			"id": id, "channel_id": e.Data.ChannelID, "user_id": c.user, "content": e.Data.Content,
			"created_at": created,
		},
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	var members []*client
	for m := range s.joined[e.Data.ChannelID] {
		members = append(members, m)
	}
	s.mu.Unlock()
	for _, m := range members {
		_ = m.conn.Write(ctx, websocket.MessageText, frame) // the reader notices closed sockets
	}
	return map[string]any{"status": "sent", "message_id": id}, nil
}

func (s *Server) enter(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
}

func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	for _, members := range s.joined {
		delete(members, c)
	}
}

// notifyAll notifies every socket on the server, one after the other.
func (s *Server) notifyAll(ctx context.Context, frame any) {
	s.mu.Lock()
	var all []*client
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		s.tell(ctx, c, frame)
	}
}

func (s *Server) tell(ctx context.Context, c *client, frame any) {
	b, err := json.Marshal(frame)
	if err != nil {
		return // cannot fail: strings and maps of them
	}
	_ = c.conn.Write(ctx, websocket.MessageText, b) // the reader notices closed sockets
}

// now is a time as the old server wrote it.
func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000") }
