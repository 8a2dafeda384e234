package gateway

import (
	"testing"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/model"
)

func TestSessionKeepsItsOrigin(t *testing.T) {
	for _, kind := range []model.ActorKind{
		model.ActorUser, model.ActorBot, model.ActorWebhook, model.ActorKey, model.ActorSystem,
	} {
		for _, isInternal := range []bool{false, true} {
			identity := auth.Identity{Actor: model.Actor{Kind: kind}, IsInternal: isInternal}
			s := session{origin: originOf(&identity)}
			if got := s.actorKind(); got != kind || s.isInternal() != isInternal {
				t.Errorf("%s, internal %v: the session keeps %s, internal %v", kind, isInternal, got, s.isInternal())
			}
		}
	}
}
