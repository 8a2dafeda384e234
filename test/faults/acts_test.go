package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
	"github.com/chowk-chat/chowk/internal/history"
)

// This file is what users do.

// once does one thing.
func (p *person) once() {
	ch, mine, seen := p.pick()
	if ch.IsZero() {
		return
	}
	switch n := p.random.IntN(100); {
	case n < 84 || seen.IsZero():
		p.send(ch)
	case n < 88 && !mine.IsZero():
		p.change(ch, history.Edit, func(ctx context.Context) (chat.Seq, error) {
			return p.client.Edit(ctx, ch, mine, fmt.Sprint("edited ", p.random.Uint64()))
		})
	case n < 89 && !mine.IsZero():
		p.change(ch, history.Deletion, func(ctx context.Context) (chat.Seq, error) { return p.client.Delete(ctx, ch, mine) })
	case n < 93:
		p.change(ch, history.Reaction,
			func(ctx context.Context) (chat.Seq, error) { return p.client.React(ctx, ch, seen, "👍") })
	case n < 96:
		p.change(ch, history.ReactionRemoval,
			func(ctx context.Context) (chat.Seq, error) { return p.client.Unreact(ctx, ch, seen, "👍") })
	case n < 97:
		p.client.Typing(ch, true)
	case n < 98:
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, _ = p.client.MarkRead(ctx, ch, 0)
		cancel()
	default:
		p.remove()
	}
}

// pick chooses a channel of which the user is a member, with a message of their own
// there and one of any member.
func (p *person) pick() (ch, mine, seen chat.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.at) == 0 {
		return
	}
	n := p.random.IntN(len(p.at))
	for _, id := range p.w.channels { // a map's order would not be the seed's
		if _, member := p.at[id]; !member {
			continue
		}
		if n--; n < 0 {
			ch = id
			break
		}
	}
	if ids := p.mine[ch]; len(ids) > 0 {
		mine = ids[p.random.IntN(len(ids))]
	}
	if ids := p.seen[ch]; len(ids) > 0 {
		seen = ids[p.random.IntN(len(ids))]
	}
	return ch, mine, seen
}

// send sends a message, and returns when its outcome is known.
func (p *person) send(ch chat.ID) {
	m := client.Message{ChannelID: ch, Content: fmt.Sprintf("%s says %d", p.id, p.random.Uint64()), ClientID: chat.NewID().
		String()}
	r := history.Record{
		Kind: history.Invoked, What: history.Message, Flags: history.FlagSend,
		ID: chat.MustParseID(m.ClientID),
	}
	p.log.Add(r, ch)
	for until := time.Now().Add(patience); time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(context.Background(),
			500*time.Millisecond+time.Duration(p.random.IntN(4000))*time.Millisecond)
		sent, err := p.client.Send(ctx, m)
		cancel()
		var unknown *client.UnknownError
		var refused *chat.Error
		switch {
		case err == nil:
			r.Kind, r.Seq = history.Acked, sent.Seq
		case errors.As(err, &unknown):
			r.Kind = history.Unknown
		case errors.As(err, &refused):
			r.Kind = history.Refused
		case errors.Is(err, client.ErrClosed):
			return
		default:
			continue // it was not sent at all
		}
		p.log.Add(r, ch)
		if r.Kind != history.Unknown {
			break
		}
	}
	if r.Kind == history.Acked {
		p.w.acked.Add(1)
		p.mu.Lock()
		p.mine[ch] = keep(p.mine[ch], r.ID)
		p.mu.Unlock()
	}
}

// change requests a change that may be requested again.
func (p *person) change(ch chat.ID, what history.What, do func(context.Context) (chat.Seq, error)) {
	r := history.Record{Kind: history.Invoked, What: what, ID: chat.NewID()}
	p.log.Add(r, ch)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	seq, err := do(ctx)
	var refused *chat.Error
	switch {
	case err == nil:
		r.Kind, r.Seq = history.Acked, seq
	case errors.As(err, &refused):
		r.Kind = history.Refused
	default:
		r.Kind = history.Unknown
	}
	p.log.Add(r, ch)
}

// remove removes a member from one of the user's own channels, or adds a removed one
// again.
func (p *person) remove() {
	for i, ch := range p.w.channels {
		if p.w.people[i%len(p.w.people)] != p {
			continue
		}
		p.mu.Lock()
		_, back := p.out[ch]
		p.mu.Unlock()
		if back {
			p.takeBack(ch)
			return
		}
		u := p.w.people[p.random.IntN(len(p.w.people))]
		u.mu.Lock()
		_, member := u.at[ch]
		u.mu.Unlock()
		if !member || u == p {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := p.client.RemoveMember(ctx, ch, u.id)
		cancel()
		p.mu.Lock()
		p.out[ch] = u.id // even if the outcome is unknown: adding again does no harm
		p.mu.Unlock()
		_ = err
		return
	}
}

func (p *person) takeBack(ch chat.ID) {
	p.mu.Lock()
	u := p.out[ch]
	p.mu.Unlock()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := p.client.AddMembers(ctx, ch, u)
		cancel()
		var refused *chat.Error
		if err == nil || errors.As(err, &refused) && refused.Code == chat.Conflict {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.mu.Lock()
	delete(p.out, ch)
	p.mu.Unlock()
}
