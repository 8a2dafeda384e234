package relay

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

func nodesNamed(ids ...string) func() map[string]bool {
	return func() map[string]bool {
		nodes := make(map[string]bool)
		for _, id := range ids {
			nodes[id] = true
		}
		return nodes
	}
}

// TestAQueryWaitsForAllNodes, but not for longer than queryTimeout.
func TestAQueryWaitsForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hub fakeHub
		var r recorder
		q := newPresenceQueries(testEnv(), &hub, nodesNamed("one", "two"), r.publish, r.reply)
		online := make(chan []chat.UserID)
		ask := func() { online <- q.online([]chat.UserID{"ada", "bob"}) }
		begun := time.Now()

		go ask() // ends when both nodes have responded
		synctest.Wait()
		equal(t, "query", r.messages, []sent{{kindAsk, toAll, queryNote{Query: 1, Users: []chat.UserID{"ada", "bob"}}}})
		q.handleResponse(header{node: "one"}, responseNote{Query: 1, Online: []chat.UserID{"ada"}})
		q.handleResponse(header{node: "one"}, responseNote{Query: 1, Online: []chat.UserID{"forged"}})
		q.handleResponse(header{node: "three"}, responseNote{Query: 1, Online: []chat.UserID{"forged"}})
		q.handleResponse(header{node: "two"}, responseNote{Query: 1})
		equal(t, "online", <-online, []chat.UserID{"ada"})
		if took := time.Since(begun); took != 0 {
			t.Errorf("the query took %v, want 0 when all nodes respond at once", took)
		}

		go ask() // ends after queryTimeout
		synctest.Wait()
		q.handleResponse(header{node: "two"}, responseNote{Query: 2, Online: []chat.UserID{"bob"}})
		equal(t, "online", <-online, []chat.UserID{"bob"})
		if took := time.Since(begun); took != queryTimeout {
			t.Errorf("the query took %v, want %v when a node is silent", took, queryTimeout)
		}
		q.handleResponse(header{node: "one"}, responseNote{Query: 2, Online: []chat.UserID{"late"}})
		equal(t, "presence passed to the hub", hub.remote, map[chat.UserID]bool{"ada": false, "bob": true})
	})
}

func TestManyUsersAreManyQueriesAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var users []chat.UserID
		for i := range 3*maxUsersInQuery - 1 {
			users = append(users, chat.UserID(fmt.Sprint(i)))
		}
		queries := make(chan queryNote, 9)
		publish := func(_ kind, _ string, _ time.Time, body any) error {
			queries <- body.(queryNote)
			return nil
		}
		q := newPresenceQueries(testEnv(), &fakeHub{}, nodesNamed("silent"), publish, nil)
		begun := time.Now()
		equal(t, "online", q.online(users), nil)
		if took := time.Since(begun); took != queryTimeout {
			t.Errorf("the queries took %v, want %v", took, queryTimeout)
		}
		if len(queries) != 3 {
			t.Errorf("%d queries, want 3", len(queries))
		}
	})
}

func TestAQueryIsAnswered(t *testing.T) {
	hub := &fakeHub{connected: map[chat.UserID]bool{"ada": true}}
	var r recorder
	q := newPresenceQueries(testEnv(), hub, nodesNamed(), r.publish, r.reply)
	q.handleQuery(header{node: "other"}, queryNote{Query: 7, Users: []chat.UserID{"ada", "bob"}})
	equal(t, "response", r.messages, []sent{
		{kindAnswer, toNode + "other", responseNote{Query: 7, Online: []chat.UserID{"ada"}}},
	})
	if q.handleQuery(header{node: "other"}, queryNote{Users: make([]chat.UserID, maxUsersInQuery+1)}) {
		t.Error("a query for too many users is accepted")
	}
}
