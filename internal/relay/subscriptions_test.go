package relay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/chowk-chat/chowk/chat"
)

// fakeNATS records the subjects that are subscribed to.
type fakeNATS struct {
	subjects map[string]bool
	err      error
}

func (f *fakeNATS) subscribe(subject string) (subscription, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.subjects[subject] = true
	return unsubscribeFunc(func() { delete(f.subjects, subject) }), nil
}

func (f *fakeNATS) all() (all []string) {
	for subject := range f.subjects {
		all = append(all, subject)
	}
	slices.Sort(all)
	return all
}

type unsubscribeFunc func()

func (f unsubscribeFunc) Unsubscribe() error { f(); return nil }

func TestSubscriptionsFollowWhatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nats := fakeNATS{subjects: make(map[string]bool), err: errors.New("no connection")}
		var added newSubscriptions
		s := newSubscriptionSet(testEnv(), 2, nats.subscribe, func(n newSubscriptions) { added = n })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.run(ctx) // ends when cancel is called
		channel, other := chat.NewID(), chat.NewID()
		s.want(toChannel+channel.String(), true)
		s.want(toUser+userToken("eve.b"), true)
		s.want(toChannel+other.String(), true)
		synctest.Wait() // the subscriptions fail
		nats.err = nil
		s.want(toChannel+other.String(), false)
		time.Sleep(2 * subscribeRetryDelay)
		synctest.Wait()
		equal(t, "subjects", nats.all(), []string{toChannel + channel.String(), toUser + "eve~b"})
		equal(t, "new channels", added.channels, []chat.ID{channel})
		equal(t, "new users", added.users, []chat.UserID{"eve.b"})
		if got := testutil.ToFloat64(s.metrics.Subscriptions); got != 4 {
			t.Errorf("the gauge is %v, want 4", got)
		}
		s.want(toChannel+channel.String(), false)
		time.Sleep(2 * subscribeRetryDelay)
		synctest.Wait()
		equal(t, "subjects", nats.all(), []string{toUser + "eve~b"})
	})
}
