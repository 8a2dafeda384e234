package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// TestEverybodyResumesAtOnce: clients that missed thousands of changes come back at one
// moment, and each receives every change, in order.
func TestEverybodyResumesAtOnce(t *testing.T) {
	users, perChannel, missed := 40, 10, 1_000
	if isLong(t) {
		users, missed = 200, 10_000
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			db := opener(t, kind)(t)
			channels := fill(t, db, users, perChannel, missed)
			s := serve(t, db)
			epoch := epochOf(t, s)
			count := watchConnections(t, db)
			start := time.Now()
			var all sync.WaitGroup
			for i := range users {
				all.Go(func() { resumeAll(t, s, i, channels[i/perChannel], epoch, missed) })
			}
			all.Wait()
			took := time.Since(start)
			t.Logf("%s: %d clients resumed %d changes each in %v: %.0f changes/s; database connections: %s",
				kind, users, missed, took.Round(time.Millisecond), float64(users*missed)/took.Seconds(), count())
		})
	}
}

func name(i int) string { return fmt.Sprintf("u%03d", i) }

// fill creates channels of perChannel users with messages, while no server runs.
func fill(t *testing.T, db database, users, perChannel, messages int) (channels []chat.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := store.Open(ctx, store.Options{URL: db.url()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commit := func(changes []state.Change) {
		outs, err := s.Commit(ctx, changes)
		if err != nil || outs[0].Err != nil {
			t.Fatalf("fill the database: %v, %v", err, outs)
		}
	}
	for first := 0; first < users; first += perChannel {
		ch := state.Change{
			Kind: state.CreateChannel, ID: chat.NewID(), Actor: model.UserActor(chat.UserID(name(first))),
			At: 1,
		}
		ch.ChannelID = ch.ID
		ch.Channel = &chat.Channel{ID: ch.ID, Name: "c", ChannelType: chat.Group, CreatedBy: ch.Actor.User, IsPrivate: true}
		for i := first; i < first+perChannel; i++ {
			if _, err := s.EnsureUser(ctx, chat.User{
				ID: chat.UserID(name(i)), Name: name(i), IsActive: true,
				CreatedAt: 1,
			}); err != nil {
				t.Fatal(err)
			}
			ch.Members = append(ch.Members, state.InitialMember{UserID: chat.UserID(name(i)), Role: chat.RoleOwner})
		}
		commit([]state.Change{ch})
		channels = append(channels, ch.ID)
		for n := 0; n < messages; {
			var group []state.Change
			for ; n < messages && len(group) < 500; n++ {
				c := state.Change{Kind: state.SendMessage, ID: chat.NewID(), ChannelID: ch.ID, Actor: ch.Actor, At: 1}
				c.Message = &chat.Message{
					ID: c.ID, ChannelID: ch.ID, UserID: ch.Actor.User,
					Content:     fmt.Sprintf("message %d of a hundred bytes or so, as people write them to each other every day", n),
					MessageType: chat.Text,
				}
				group = append(group, c)
			}
			commit(group)
		}
	}
	return channels
}

func epochOf(t *testing.T, s *server) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{URL: "http://" + s.address, Token: client.StaticToken(token(name(0)))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Hello().Epoch
}

func resumeAll(t *testing.T, s *server, i int, channel chat.ID, epoch string, missed int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{
		URL: "http://" + s.address, Token: client.StaticToken(token(name(i))),
		Resume: &client.Cursors{Epoch: epoch, Channels: map[chat.ID]chat.Seq{channel: 1}},
	})
	if err != nil {
		t.Errorf("connect %s: %v", name(i), err)
		return
	}
	defer c.Close()
	for want := chat.Seq(2); want <= chat.Seq(missed)+1; {
		ev, err := c.Next(ctx)
		if err != nil {
			t.Errorf("%s at seq %d: %v", name(i), want, err)
			return
		}
		if ev.Seq == 0 {
			continue
		}
		if ev.Seq != want || ev.ChannelID != channel {
			t.Errorf("%s received seq %d, want %d", name(i), ev.Seq, want)
			return
		}
		want++
	}
}

// watchConnections polls the number of database connections, and returns the maximum.
func watchConnections(t *testing.T, db database) (most func() string) {
	t.Helper()
	p, ok := db.(postgres)
	if !ok {
		return func() string { return "one file, a writer and its readers" }
	}
	conn, err := pgx.Connect(context.Background(), p.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	open, active := 0, 0
	var done sync.WaitGroup
	done.Go(func() { // ends when most is called
		for ctx.Err() == nil {
			var o, a int
			err := conn.QueryRow(ctx,
				`SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity WHERE datname = $1`, p.name).
				Scan(&o, &a)
			if err == nil {
				open, active = max(open, o), max(active, a)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	var once sync.Once
	end := func() {
		once.Do(func() { stop(); done.Wait(); _ = conn.Close(context.Background()) })
	}
	t.Cleanup(end)
	return func() string {
		end()
		return fmt.Sprintf("at most %d open, %d active", open, active)
	}
}

// TestBadResumes: cursors of the future, of other users' channels and of channels that
// do not exist, and invalid cursors. Each is answered, and no other client notices.
func TestBadResumes(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			db := opener(t, kind)(t)
			channels := fill(t, db, 4, 2, 10)
			own, foreign := channels[0], channels[1]
			s := serve(t, db, "--limits.message-bytes=2MiB")
			epoch := epochOf(t, s)
			many := make(map[string]any, chat.MaxCursors)
			for range chat.MaxCursors {
				many[chat.NewID().String()] = rand.Int64()
			}
			tooMany := make(map[string]any, chat.MaxCursors+1)
			for range chat.MaxCursors + 1 {
				tooMany[chat.NewID().String()] = 1
			}
			at := func(cursors any) any { return map[string]any{"epoch": epoch, "cursors": cursors} }
			for _, c := range []struct {
				name   string
				data   any
				answer string // a code, or "" for an ack
				resync int    // channels with a resync
				denied int    // channels refused because the user is not a member
			}{
				{"from the future", at(map[string]any{own.String(): int64(1) << 62}), "", 1, 0},
				{"one ahead", at(map[string]any{own.String(): 12}), "", 1, 0},
				{"of another epoch", map[string]any{"epoch": "another", "cursors": map[string]any{own.String(): 3}}, "", 1, 0},
				{"of another user's channel", at(map[string]any{foreign.String(): 3}), "", 0, 1},
				{"of 10,000 channels that do not exist", at(many), "", 0, chat.MaxCursors},
				{"of one channel too many", at(tooMany), "bad_request", 0, 0},
				{"negative", at(map[string]any{own.String(): -1}), "bad_request", 0, 0},
				{"a fraction", at(map[string]any{own.String(): 1.5}), "bad_request", 0, 0},
				{"beyond 64 bits", at(map[string]any{own.String(): 1e30}), "bad_request", 0, 0},
				{"a text", at(map[string]any{own.String(): "3"}), "bad_request", 0, 0},
				{"of an invalid id", at(map[string]any{"x": 3}), "bad_request", 0, 0},
				{"a list", at([]int{1}), "bad_request", 0, 0},
				{"nothing", nil, "", 0, 0},
				{"not an object", 7, "bad_request", 0, 0},
			} {
				t.Run(c.name, func(t *testing.T) {
					raw := dialRaw(t, s)
					codes, answer := raw.ask(t, "resume", c.data)
					if answer != c.answer || codes["resync"] != c.resync || codes["forbidden"] != c.denied {
						t.Errorf("answered %q, %v", answer, codes)
					}
					// The socket still works from a valid cursor.
					if _, answer := raw.ask(t, "resume", at(map[string]any{own.String(): 11})); answer != "" {
						t.Errorf("a valid resume afterwards: %q", answer)
					}
				})
			}
			t.Run("10,000 of them", func(t *testing.T) { floodResumes(t, s, own, foreign, epoch) })
		})
	}
}

// rawSocket sends what a client library would not.
type rawSocket struct {
	conn *websocket.Conn
	ctx  context.Context
	n    int
}

func dialRaw(t *testing.T, s *server) *rawSocket {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, "ws://"+s.address+"/api/v1/ws/"+name(0)+"?access_token="+token(name(0)),
		&websocket.DialOptions{Subprotocols: []string{chat.Protocol}})
	if err != nil {
		t.Fatalf("dial: %v, %v", err, resp)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(8 << 20)
	return &rawSocket{conn: conn, ctx: ctx}
}

// ask sends a request and reads up to its answer: "" for an ack, else the code. It
// counts the codes of errors that name a channel, up to the answer to a ping that
// follows.
func (r *rawSocket) ask(t *testing.T, kind string, data any) (codes map[string]int, answer string) {
	t.Helper()
	r.n++
	id := fmt.Sprint("q", r.n)
	b, err := json.Marshal(map[string]any{"type": kind, "id": id, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range []string{string(b), `{"type":"ping"}`} {
		if err := r.conn.Write(r.ctx, websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	codes = make(map[string]int)
	for {
		_, b, err := r.conn.Read(r.ctx)
		if err != nil {
			t.Fatalf("read: %v (so far %v)", err, codes)
		}
		var f struct {
			Type, ID, Code string
			ChannelIDs     []string `json:"channel_ids"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		switch {
		case f.Type == "pong":
			return codes, answer
		case f.Type == "error" && f.ID == id:
			answer = f.Code
		case f.Type == "error":
			codes[f.Code] += len(f.ChannelIDs)
		}
	}
}

// floodResumes sends 10,000 bad resumes from some sockets, while two other clients
// exchange messages.
func floodResumes(t *testing.T, s *server, own, foreign chat.ID, epoch string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := make(chan struct{})
	var talking, flooding sync.WaitGroup
	talking.Go(func() { // ends when the flood does
		c, err := client.Dial(ctx, client.Options{URL: "http://" + s.address, Token: client.StaticToken(token(name(2)))})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		last := c.Hello().Channels[0].LastSeq
		for {
			select {
			case <-stop:
				return
			default:
			}
			sent, err := c.Send(ctx, client.Message{ChannelID: foreign, Content: "meanwhile"})
			if err != nil {
				t.Error(err)
				return
			}
			for last < sent.Seq {
				ev, err := c.Next(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if ev.Seq == 0 {
					continue
				}
				if ev.Seq != last+1 {
					t.Errorf("seq %d after %d", ev.Seq, last)
				}
				last = ev.Seq
			}
		}
	})
	bad := []string{
		`{"type":"resume","id":"x","data":{"epoch":"` + epoch + `","cursors":{"` + own.String() + `":4611686018427387904}}}`,
		`{"type":"resume","id":"x","data":{"epoch":"` + epoch + `","cursors":{"` + foreign.String() + `":1}}}`,
		`{"type":"resume","id":"x","data":{"epoch":"` + epoch + `","cursors":{"` + own.String() + `":0}}}`,
		`{"type":"resume","id":"x","data":{"epoch":"` + strings.Repeat("e", 4096) + `","cursors":{"` + own.String() +
			`":1}}}`,
		`{"type":"resume","id":"x","data":{"cursors":{"` + own.String() + `":-7}}}`,
		`{"type":"resume","id":"x","data":{"cursors":{"x":1}}}`,
		`{"type":"resume","id":"x","data":{"cursors":`,
	}
	const sockets, each = 20, 500
	for i := range sockets {
		flooding.Go(func() { flood(t, ctx, s, rand.New(rand.NewPCG(1, uint64(i))), bad, each) })
	}
	flooding.Wait()
	close(stop)
	talking.Wait()
}

// flood sends n requests, on as many sockets as it takes: the server closes sockets
// that send only errors.
func flood(t *testing.T, ctx context.Context, s *server, r *rand.Rand, bad []string, n int) {
	for n > 0 {
		conn, resp, err := websocket.Dial(ctx, "ws://"+s.address+"/api/v1/ws/"+name(0)+"?access_token="+token(name(0)),
			&websocket.DialOptions{Subprotocols: []string{chat.Protocol}})
		if err != nil {
			if resp != nil && resp.StatusCode == http.StatusTooManyRequests { // the user has reached the limit
				continue
			}
			t.Errorf("dial: %v", err)
			return
		}
		conn.SetReadLimit(8 << 20)
		for ; n > 0; n-- {
			if conn.Write(ctx, websocket.MessageText, []byte(bad[r.IntN(len(bad))])) != nil {
				break
			}
			if _, _, err := conn.Read(ctx); err != nil {
				if code := websocket.CloseStatus(err); code != 4008 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("closed with %v", err)
				}
				break
			}
		}
		_ = conn.CloseNow()
	}
}
