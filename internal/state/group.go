package state

import "github.com/chowk-chat/chowk/chat"

// Group is a group of changes that are decided together. Create it with NewGroup, load into
// Rows what Needs lists, then call Decide once.
type Group struct {
	Rows

	changes  []Change
	outcomes []Outcome
	rules    *Rules
	effects  Effects
	current  target // of the change that is being decided
}

// NewGroup returns a group of changes that is decided by the rules.
func NewGroup(changes []Change, rules *Rules) *Group {
	g := &Group{Rows: newRows(), changes: changes, outcomes: make([]Outcome, len(changes)), rules: rules}
	for i := range changes {
		g.outcomes[i].Err = checkChange(&changes[i])
	}
	return g
}

// Decide applies the changes to the rows in their order, or refuses them. Outcomes are in the
// order of the changes.
func (g *Group) Decide() ([]Outcome, *Effects) {
	for i := range g.changes {
		if g.outcomes[i].Err == nil {
			g.outcomes[i] = g.decide(&g.changes[i])
		}
	}
	return g.outcomes, &g.effects
}

func (g *Group) decide(c *Change) Outcome {
	if out, duplicate := g.duplicate(c); duplicate {
		return out
	}
	k := &kinds[c.Kind]
	t, err := g.target(k, c)
	if err != nil {
		return Outcome{Err: err}
	}
	e, err := k.apply(g, c, t)
	if err != nil {
		return Outcome{Err: err}
	}
	return outcome(k, t, e)
}

// outcome returns what became of a change that was not refused.
func outcome(k *kind, t *target, e *chat.Entry) Outcome {
	out := Outcome{Entry: e}
	switch k.about {
	case aNewMessage:
		out.Message = t.sent
	case aMessage:
		m := t.message.Message
		out.Message = &m
	case aNewChannel, aMember, aChannel:
		ch := t.channel.Channel
		out.Channel = &ch
		if e == nil {
			out.Duplicate = k.about != aChannel // the member or the channel was already there
			break
		}
		e.Channel = &ch
		if k.about != aNewChannel {
			t.channel.RightsSeq = e.Seq
		}
	}
	return out
}
