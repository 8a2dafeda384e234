package relay

import (
	"context"
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// fakeRevocations is the database of revocations.
type fakeRevocations []model.Revocation

func (f *fakeRevocations) Revocations(_ context.Context, after int64, _ int) (all []model.Revocation, err error) {
	for _, v := range *f {
		if v.ID > after {
			all = append(all, v)
		}
	}
	return all, nil
}

func (f *fakeRevocations) LastRevocation(context.Context) (last int64, err error) {
	for _, v := range *f {
		last = max(last, v.ID)
	}
	return last, nil
}

// fakeAccess records calls.
type fakeAccess []string

func (f *fakeAccess) RevokedElsewhere(closed []model.TokenHash, user chat.UserID) {
	call := "disable " + string(user)
	for _, h := range closed {
		call = fmt.Sprintf("close %d of %s", h[0], user)
	}
	*f = append(*f, call)
}

func (f *fakeAccess) EnabledElsewhere(user chat.UserID) { *f = append(*f, "enable "+string(user)) }

// TestRevocationsAreAppliedOnceFromTheDatabase, those that were committed late included.
// Of a user who was disabled and enabled again only the last counts.
func TestRevocationsAreAppliedOnceFromTheDatabase(t *testing.T) {
	db := &fakeRevocations{{ID: 1, UserID: "old"}, {ID: 3, UserID: "old"}}
	var calls fakeAccess
	r := newRevocations(testEnv(), db, &calls)
	if err := r.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	poll := func(want ...string) {
		t.Helper()
		calls = nil
		if err := r.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "calls", calls, fakeAccess(want))
	}
	poll()
	*db = append(*db,
		model.Revocation{ID: 2, UserID: "late"},
		model.Revocation{ID: 4, UserID: "ada"}, model.Revocation{ID: 5, UserID: "ada", Enabled: true},
		model.Revocation{ID: 6, UserID: "bob", Hash: model.TokenHash{8}})
	poll("disable late", "enable ada", "close 8 of bob")
	poll()
	if got := count(r.metrics.Reconciled, "revocations"); got != 3 {
		t.Errorf("%v revocations are counted, want 3", got)
	}
}

// TestARevocationThatANodeSentIsAppliedAtOnce, and again from the database without being
// counted as lost.
func TestARevocationThatANodeSentIsAppliedAtOnce(t *testing.T) {
	db := &fakeRevocations{{ID: 1, UserID: "bob", Hash: model.TokenHash{8}}}
	var calls fakeAccess
	r := newRevocations(testEnv(), db, &calls)
	hash := model.TokenHash{8}
	r.handle(header{}, revokeNote{User: "bob", Closed: [][]byte{hash[:]}})
	r.handle(header{}, revokeNote{User: "bob", Closed: [][]byte{{1, 2}}}) // malformed: not all log-ins
	if err := r.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "calls", calls, fakeAccess{"close 8 of bob", "close 8 of bob"})
	if got := count(r.metrics.Reconciled, "revocations"); got != 0 {
		t.Errorf("%v revocations are counted as lost, want 0", got)
	}
}
