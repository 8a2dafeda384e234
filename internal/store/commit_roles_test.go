package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestRolesThatMayNotSend narrows the rules, so that a role and not only membership decides
// about a send: both by the database and by package state.
func TestRolesThatMayNotSend(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, fastPath := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fast path %v", kind, fastPath), func(t *testing.T) {
				url := "sqlite:" + filepath.Join(t.TempDir(), "chowk.db")
				if kind == "postgres" {
					url = pgtest.DatabaseUnlessShort(t)
				}
				rules := state.DefaultRules()
				rules[state.SendMessage] = chat.Members &^ chat.Guests
				r := &roles{t: t, s: openWith(t, url, rules), fastPath: fastPath}
				r.found()
				r.refusedAmongOthers()
				r.refusedFromTheMomentOfAChange()
			})
		}
	}
}

// roles are a channel with an owner, a member and a guest.
type roles struct {
	t        *testing.T
	s        *Store
	fastPath bool
	channel  chat.ID
}

func (r *roles) commit(changes ...state.Change) []state.Outcome {
	r.t.Helper()
	return commitBy(r.t, r.s, changes, r.fastPath)
}

func (r *roles) found() {
	r.t.Helper()
	c := state.Change{Kind: state.CreateChannel, ID: chat.NewID(), Actor: model.UserActor("ada")}
	c.ChannelID, c.Channel = c.ID, &chat.Channel{ID: c.ID, Name: "c", ChannelType: chat.Group, CreatedBy: "ada"}
	for id, role := range map[chat.UserID]chat.Role{"ada": chat.RoleOwner, "bob": chat.RoleMember, "gus": chat.RoleGuest} {
		if _, err := r.s.EnsureUser(r.t.Context(), chat.User{ID: id, IsActive: true}); err != nil {
			r.t.Fatal(err)
		}
		c.Members = append(c.Members, state.InitialMember{UserID: id, Role: role})
	}
	if out := r.commit(c); out[0].Err != nil {
		r.t.Fatal(out[0].Err)
	}
	r.channel = c.ID
}

func (r *roles) message(by chat.UserID) state.Change {
	c := state.Change{Kind: state.SendMessage, ID: chat.NewID(), ChannelID: r.channel, Actor: model.UserActor(by), At: 1}
	c.Message = &chat.Message{Content: "x", MessageType: chat.Text}
	return c
}

func (r *roles) refused(out state.Outcome) {
	r.t.Helper()
	const want = "Your role in this channel does not let you send messages"
	if out.Err == nil || chat.AsError(out.Err).Code != chat.Forbidden || out.Err.Error() != want {
		r.t.Errorf("got error %v, want %q", out.Err, want)
	}
}

// refusedAmongOthers checks that a refused message leaves no gap in the seqs and ordinals of
// the others, however often their authors sent before.
func (r *roles) refusedAmongOthers() {
	r.t.Helper()
	for round := range int64(4) {
		out := r.commit(r.message("ada"), r.message("gus"), r.message("bob"), r.message("gus"), r.message("ada"))
		r.refused(out[1])
		r.refused(out[3])
		for place, o := range []state.Outcome{out[0], out[2], out[4]} {
			if o.Err != nil {
				r.t.Errorf("round %d, message %d: %v", round, place, o.Err)
			} else if want := 3*round + int64(place) + 1; o.Message.Ordinal != want {
				r.t.Errorf("round %d, message %d: ordinal %d, want %d", round, place, o.Message.Ordinal, want)
			}
		}
	}
	log, err := r.s.Log(r.t.Context(), r.channel, 0, 100)
	if err != nil || len(log) != 1+3*4 {
		r.t.Errorf("the log has %d entries, want 13; error %v", len(log), err)
	}
}

// refusedFromTheMomentOfAChange checks that a sender whose role was sufficient a moment ago is
// refused once it no longer is.
func (r *roles) refusedFromTheMomentOfAChange() {
	r.t.Helper()
	for range 2 {
		if out := r.commit(r.message("bob")); out[0].Err != nil {
			r.t.Errorf("before: %v", out[0].Err)
		}
	}
	lower := state.Change{
		Kind: state.UpdateMember, ID: chat.NewID(), ChannelID: r.channel, Actor: model.UserActor("ada"), At: 1,
		Subject: "bob", Role: chat.RoleGuest,
	}
	if out := r.commit(lower); out[0].Err != nil {
		r.t.Fatal(out[0].Err)
	}
	r.refused(r.commit(r.message("bob"))[0])
}
