package command

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// TestAChangeHasItsCallersActor checks that the kind of the caller reaches the decision.
func TestAChangeHasItsCallersActor(t *testing.T) {
	r, b := newRules()
	want := model.Actor{Kind: model.ActorBot, User: "ada"}
	in := chat.SendRequest{ChannelID: channel, Content: "x"}
	if _, err := r.SendMessage(t.Context(), Caller{Actor: want}, in); err != nil {
		t.Fatal(err)
	}
	if got := b.committed[0].Actor; got != want {
		t.Errorf("the change's actor is %s, want %s", got, want)
	}
}
