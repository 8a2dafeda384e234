package relay

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// presenceQueries asks the other nodes which users are online there, and answers their
// queries.
type presenceQueries struct {
	now     func() time.Time
	hub     presenceHub
	nodes   func() map[string]bool // returns the ids of the nodes that are heard
	publish publishFunc
	reply   func(outgoing)
	wake    async.Signal

	mu        sync.Mutex // guards what follows
	last      uint64     // the number of the last query
	open      map[uint64]*presenceQuery
	scheduled map[chat.UserID]struct{} // users to ask for without a caller that waits
}

// presenceQuery is a query that waits for responses.
type presenceQuery struct {
	users   []chat.UserID
	waiting map[string]bool // nodes that have not responded
	online  []chat.UserID
	done    chan struct{} // closed when all nodes have responded
}

const (
	queryTimeout       = 200 * time.Millisecond
	maxOpenQueries     = 4096
	maxUsersInQuery    = 500
	maxUsersInResponse = 5000
)

func newPresenceQueries(
	e env, hub presenceHub, nodes func() map[string]bool, publish publishFunc, reply func(outgoing),
) *presenceQueries {
	return &presenceQueries{
		now: e.now, hub: hub, nodes: nodes, publish: publish, reply: reply, wake: async.NewSignal(),
		open: make(map[uint64]*presenceQuery), scheduled: make(map[chat.UserID]struct{}),
	}
}

// schedule has the other nodes asked for users soon. The hub receives the responses.
func (q *presenceQueries) schedule(users []chat.UserID) {
	q.mu.Lock()
	for _, id := range users {
		q.scheduled[id] = struct{}{}
	}
	q.mu.Unlock()
	q.wake.Notify()
}

// run asks for the scheduled users until ctx ends.
func (q *presenceQueries) run(ctx context.Context) {
	for q.wake.Wait(ctx) {
		q.mu.Lock()
		users := slices.Collect(maps.Keys(q.scheduled))
		clear(q.scheduled)
		q.mu.Unlock()
		for some := range slices.Chunk(users, maxUsersInQuery) {
			if ctx.Err() == nil {
				q.ask(some)
			}
		}
	}
}

// online returns those of the users who are online on other nodes; for nil, all users
// who are. It waits for the responses, up to queryTimeout.
func (q *presenceQueries) online(users []chat.UserID) []chat.UserID {
	if users == nil {
		return q.ask(nil)
	}
	// All queries at the same time: a silent node costs one queryTimeout, however many
	// users there are.
	chunks := slices.Collect(slices.Chunk(users, maxUsersInQuery))
	responses := make([][]chat.UserID, len(chunks))
	var asking sync.WaitGroup
	for i, some := range chunks {
		asking.Go(func() { responses[i] = q.ask(some) }) // ends after queryTimeout at most
	}
	asking.Wait()
	return slices.Concat(responses...)
}

// ask makes one query.
func (q *presenceQueries) ask(users []chat.UserID) []chat.UserID {
	query := &presenceQuery{users: users, waiting: q.nodes(), done: make(chan struct{})}
	if len(query.waiting) == 0 {
		return nil
	}
	q.mu.Lock()
	if len(q.open) >= maxOpenQueries {
		q.mu.Unlock()
		return nil
	}
	q.last++
	number := q.last
	q.open[number] = query
	q.mu.Unlock()
	note := queryNote{Query: number, All: users == nil, Users: users}
	if q.publish(kindAsk, toAll, q.now(), note) == nil {
		timeout := time.NewTimer(queryTimeout)
		select {
		case <-query.done:
		case <-timeout.C:
		}
		timeout.Stop()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, number)
	return query.online
}

// handleQuery answers a query of another node.
func (q *presenceQueries) handleQuery(h header, note queryNote) bool {
	if len(note.Users) > maxUsersInQuery {
		return false
	}
	users := note.Users
	if users == nil {
		users = []chat.UserID{}
	}
	if note.All {
		users = nil
	}
	online := q.hub.LocalOnline(users)
	body := responseNote{Query: note.Query, Online: online[:min(len(online), maxUsersInResponse)]}
	q.reply(outgoing{kind: kindAnswer, subject: toNode + h.node, body: body})
	return true
}

// handleResponse adds a response to its query, unless that has ended.
func (q *presenceQueries) handleResponse(h header, note responseNote) bool {
	q.mu.Lock()
	query := q.open[note.Query]
	if query == nil || !query.waiting[h.node] {
		q.mu.Unlock()
		return true
	}
	delete(query.waiting, h.node)
	query.online = append(query.online, note.Online...)
	if len(query.waiting) == 0 {
		close(query.done)
	}
	q.mu.Unlock()
	online := make(map[chat.UserID]bool, len(note.Online))
	for _, id := range note.Online {
		online[id] = true
	}
	for _, id := range query.users {
		q.hub.RemotePresence(h.node, id, online[id])
	}
	return true
}

// handlePresence notes that a user came online or went offline on another node.
func (q *presenceQueries) handlePresence(h header, note presenceNote) bool {
	q.hub.RemotePresence(h.node, note.User, note.Online)
	return true
}
