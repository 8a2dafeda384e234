package state

import (
	"strconv"

	"github.com/chowk-chat/chowk/chat"
)

var errReactions = chat.Errorf(chat.Conflict,
	"This message already has the maximum of "+strconv.Itoa(chat.MaxReactions)+" different reactions")

func (g *Group) addReaction(c *Change, t *target) (*chat.Entry, error) {
	r := Reaction{t.message.ID, c.Emoji, c.Actor.User}
	if g.Reactions[r] {
		return nil, nil
	}
	counts := g.Emoji[r.MessageID]
	if counts[r.Emoji] == 0 && len(counts) >= chat.MaxReactions {
		return nil, errReactions
	}
	if counts == nil {
		counts = make(map[string]int64)
		g.Emoji[r.MessageID] = counts
	}
	g.Reactions[r] = true
	counts[r.Emoji]++
	t.message.ReactionCount++
	g.write(ReactionAdded{r, c.At})
	return g.reactionEntry(c, t, chat.EventMessageReaction), nil
}

func (g *Group) removeReaction(c *Change, t *target) (*chat.Entry, error) {
	r := Reaction{t.message.ID, c.Emoji, c.Actor.User}
	if !g.Reactions[r] {
		return nil, nil
	}
	delete(g.Reactions, r)
	counts := g.Emoji[r.MessageID]
	if counts[r.Emoji]--; counts[r.Emoji] <= 0 {
		delete(counts, r.Emoji)
	}
	t.message.ReactionCount--
	g.write(ReactionRemoved{r})
	return g.reactionEntry(c, t, chat.EventReactionRemoved), nil
}

func (g *Group) reactionEntry(c *Change, t *target, kind chat.EventType) *chat.Entry {
	g.touchMessage(t.message)
	e := g.entry(c, t.channel, kind)
	e.MessageID, e.Emoji, e.ReactionCount = t.message.ID, c.Emoji, t.message.ReactionCount
	return e
}
