package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

const secret = "a secret of the benchmark, of more than 32 bytes"

// chowk is the real binary, on PostgreSQL, in a process of its own.
type chowk struct {
	server   *testkit.Server
	dir      string
	pg       *pgtest.Server
	database string
	extra    int // further channels of each user, without messages

	mu      sync.Mutex
	senders map[int]*sender
	fleet   *fleet
}

// sender is the socket that sends to a group.
type sender struct {
	s   *sock
	ack chan []byte
}

func startChowk(binary string, extra int) (target, error) {
	c := &chowk{extra: extra, senders: make(map[int]*sender)}
	var err error
	if c.dir, err = os.MkdirTemp("", "chowk-bench-"); err != nil {
		return nil, err
	}
	if c.pg, err = pgtest.New(); err != nil {
		return nil, err
	}
	if c.database, err = c.pg.Create("bench"); err != nil {
		return nil, err
	}
	if c.fleet, err = newFleet(); err != nil {
		return nil, err
	}
	c.fleet.on = c.answered
	return c, c.start(binary)
}

func (c *chowk) start(binary string) error {
	path, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	c.server, err = testkit.StartServer(testkit.Options{
		Binary: path, Dir: c.dir, Env: []string{"CHOWK_AUTH_JWT_SECRET=" + secret},
		Settings: []string{
			"database-url=" + c.database, "auth=jwt", "drain.window=0s", "pool.size=10", "pool.overflow=0",
			"limits.sockets-per-user=50", "limits.handshakes-per-second=1000000",
			"limits.commands-per-second=100000", "limits.commands-burst=100000",
		},
	})
	return err
}

func (c *chowk) name() string { return "chowk" }

func (c *chowk) pid() int { return c.server.Pid() }

func (c *chowk) stop() {
	c.fleet.close()
	if err := c.server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "benchsockets:", err)
	}
	c.pg.Remove()
	_ = os.RemoveAll(c.dir)
}

func userOf(i int) chat.UserID { return chat.UserID(fmt.Sprintf("user-%06d", i)) }

// groupID and extraID return the channels' ids.
func groupID(group int) (id chat.ID) {
	copy(id[:], fmt.Sprintf("group%011d", group))
	id[6], id[8] = 0x40, 0x80
	return id
}

func extraID(k, i int) (id chat.ID) {
	copy(id[:], fmt.Sprintf("x%02d%013d", k, i/100))
	id[6], id[8] = 0x40, 0x80
	return id
}

// prepare creates users, one channel for every size of them, and the further channels,
// each with a hundred users.
func (c *chowk) prepare(n, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	db, err := pgx.Connect(ctx, c.database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	users := make([]string, n)
	count := make(map[[16]byte]int)
	var channels, memberChannels [][16]byte
	var members []string
	join := func(ch chat.ID, u int) {
		if count[ch]++; count[ch] == 1 {
			channels = append(channels, ch)
		}
		memberChannels, members = append(memberChannels, ch), append(members, users[u])
	}
	for i := range users {
		users[i] = string(userOf(i))
		join(groupID(i/size), i)
		for k := range c.extra {
			join(extraID(k, i), i)
		}
	}
	var batch pgx.Batch
	batch.Queue(`INSERT INTO users (id, name, role, is_admin, is_active, is_verified, password_hash, created_at)
		SELECT u, u, 'student', false, true, true, '', 0 FROM unnest($1::text[]) u`, users)
	batch.Queue(`INSERT INTO channels (id, name, channel_type, is_private, is_archived, created_by,
			member_count, message_count, last_seq, last_message_at, created_at, updated_at)
		SELECT c, 'bench', 'group', true, false, 'user-000000', 0, 0, 0, 0, 0, 0 FROM unnest($1::uuid[]) c`, channels)
	batch.Queue(`INSERT INTO members (channel_id, user_id, role, joined_at,
			last_read_at, last_read_seq, read_ordinal, joined_seq)
		SELECT c, u, 'member', 0, 0, 0, 0, 0 FROM unnest($1::uuid[], $2::text[]) AS m(c, u)`, memberChannels, members)
	if err := db.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	_, err = db.Exec(ctx, "ANALYZE")
	return err
}

func (c *chowk) at(i, _ int) address {
	token, err := auth.MintJWT(secret, "", "", userOf(i), time.Now(), time.Hour)
	if err != nil {
		panic(err)
	}
	return address{
		host: c.server.Address(), path: "/api/v1/ws",
		header: http.Header{"Authorization": {"Bearer " + token}, "Sec-WebSocket-Protocol": {chat.Protocol}},
	}
}

// publish sends a message as a member of the group, and waits for the ack.
func (c *chowk) publish(group int, content []byte) error {
	s, err := c.sender(group)
	if err != nil {
		return err
	}
	body, _ := json.Marshal(chat.Request{Type: "new_message", Data: must(json.Marshal(chat.SendRequest{
		ChannelID: groupID(group), MessageBody: chat.MessageBody{Content: string(content)},
	}))})
	s.s.send(body)
	select {
	case answer := <-s.ack:
		if !bytes.Contains(answer, []byte(`"status":"success"`)) && !bytes.Contains(answer, []byte(`"seq"`)) {
			return fmt.Errorf("not acknowledged: %s", answer)
		}
		return nil
	case <-time.After(30 * time.Second):
		return errTimeout
	}
}

// load sends messages, each group's through one socket, in order.
func (c *chowk) load(groups, count, rate int) error {
	return c.loadFrom(groups, 0, count, rate, messageBytes)
}

// loadFrom numbers the messages from first on, with size bytes each.
func (c *chowk) loadFrom(groups, first, count, rate, size int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	turn := make([]chan int, min(groups, 64))
	for i := range turn {
		turn[i] = make(chan int, count)
		wg.Go(func() {
			for n := range turn[i] {
				if err := c.publish(n%groups, content(first+n, size)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	if groups > 1 { // not during the measurement
		for g := range groups {
			if _, err := c.sender(g); err != nil {
				return err
			}
		}
	}
	pace(count, rate, func(n int) { turn[n%groups%len(turn)] <- n })
	for i := range turn {
		close(turn[i])
	}
	wg.Wait()
	return failed
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func (c *chowk) sender(group int) (*sender, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.senders[group]; s != nil {
		return s, nil
	}
	size := groupSize
	s := &sender{ack: make(chan []byte, 16)}
	sock, err := c.fleet.dial(group*size, c.at(group*size, size))
	if err != nil {
		return nil, err
	}
	s.s = sock
	c.senders[group] = s
	bySocket.Store(sock, s)
	return s, nil
}

// groupSize is the size of the groups in the current scenario.
var groupSize = 1

var bySocket sync.Map

// answered handles what a sender's socket receives.
func (c *chowk) answered(s *sock, payload []byte) {
	if !bytes.Contains(payload, []byte(`"type":"ack"`)) && !bytes.Contains(payload, []byte(`"type":"error"`)) {
		return
	}
	if v, ok := bySocket.Load(s); ok {
		select {
		case v.(*sender).ack <- bytes.Clone(payload):
		default:
		}
	}
}

func (c *chowk) ask(n int) []byte { return fmt.Appendf(nil, `{"type":"ping","id":"@@%08d"}`, n) }

var (
	heapInUse  = regexp.MustCompile(`(?m)^# HeapInuse = (\d+)`)
	heapLive   = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)`)
	stackInUse = regexp.MustCompile(`(?m)^# Stack = (\d+)`)
	goroutines = regexp.MustCompile(`goroutine profile: total (\d+)`)
)

func (c *chowk) memory() (m memory, err error) {
	r, err := http.Post(c.server.Ops+"/debug/free-memory", "", nil)
	if err != nil {
		return m, err
	}
	r.Body.Close()
	text, err := c.get("/debug/pprof/heap?debug=1")
	if err != nil {
		return m, err
	}
	m.Heap, m.Live, m.Stack = number(heapInUse, text), number(heapLive, text), number(stackInUse, text)
	if text, err = c.get("/debug/pprof/goroutine?debug=1"); err != nil {
		return m, err
	}
	m.Goroutines = int(number(goroutines, text))
	if r, err = http.Post(c.server.Ops+"/debug/free-memory", "", nil); err == nil {
		r.Body.Close()
	}
	return m, err
}

func number(re *regexp.Regexp, text []byte) uint64 {
	found := re.FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseUint(string(found[1]), 10, 64)
	return n
}

// counter returns one of the server's metrics.
func (c *chowk) counter(name string) (float64, error) {
	text, err := c.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

func (c *chowk) get(path string) ([]byte, error) {
	r, err := http.Get(c.server.Ops + path)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// connections returns the number of chowk's database connections.
func (c *chowk) connections(ctx context.Context, db *pgx.Conn) (n int, err error) {
	err = db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench'").Scan(&n)
	return n, err
}
