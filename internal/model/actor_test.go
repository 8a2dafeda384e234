package model_test

import (
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

var actorKinds = map[string]model.ActorKind{
	"user": model.ActorUser, "bot": model.ActorBot, "webhook": model.ActorWebhook, "key": model.ActorKey,
	"system": model.ActorSystem,
}

func TestAnActorReadsBackFromItsString(t *testing.T) {
	for name, kind := range actorKinds {
		for _, user := range []chat.UserID{"ada", "auth0:ada", "a-b_c.d"} {
			want := model.Actor{Kind: kind, User: user}
			if !want.Valid() || want.String() != name+":"+string(user) {
				t.Errorf("%#v: valid %v, string %q", want, want.Valid(), want)
			}
			got, err := model.ParseActor(want.String())
			if err != nil || got != want {
				t.Errorf("ParseActor(%q) = %v, %v", want, got, err)
			}
		}
	}
}

func TestParseActorRejectsOtherText(t *testing.T) {
	for _, s := range []string{
		"", ":", "ada", "user", "user:", ":ada", "User:ada", "robot:ada", "user:a b", " user:ada",
		"user:" + strings.Repeat("a", chat.MaxUserID+1),
	} {
		if got, err := model.ParseActor(s); err == nil {
			t.Errorf("ParseActor(%q) = %v, want an error", s, got)
		}
	}
}

func TestASetOfActorKindsHasOnlyItsMembers(t *testing.T) {
	set := model.Actors(model.ActorUser, model.ActorSystem)
	for _, kind := range actorKinds {
		if got, want := set.Has(kind), kind == model.ActorUser || kind == model.ActorSystem; got != want {
			t.Errorf("Has(%s) = %v, want %v", kind, got, want)
		}
	}
	if set.Has(0) || set.Has(99) || (model.Actor{User: "ada"}).Valid() {
		t.Error("the zero kind or an unknown one is valid")
	}
}
