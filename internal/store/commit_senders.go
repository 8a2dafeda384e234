package store

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

const (
	maxSenders  = 65_536           // remembered, and as many older ones: about 3 MB
	keepSenders = 30 * time.Second // at least, and at most twice as long
)

// senders remembers which users were allowed to send to a channel, with the channel's
// rights_seq at that moment. Every change of a channel's members, roles or archival moves its
// rights_seq in the same transaction. So a commit that finds the remembered rights_seq in the
// channel's row, which it has then locked, knows that nothing has changed and need not read
// the members. The database decides, not this memory: a wrong entry here costs an attempt.
//
// A change made by hand in the table of members is noticed when the entry expires.
type senders struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.ID]*channelSenders
	count      int       // of users in now
	rotateAt   time.Time // when now becomes older
}

type channelSenders struct {
	rights chat.Seq
	users  map[chat.UserID]struct{}
}

// known sets, for each channel, the rights_seq under which all its senders were allowed to
// send, or asked if one of them is not remembered. all yields the senders.
func (s *senders) known(channels map[chat.ID]*sendHead, all func(yield func(chat.ID, chat.UserID))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.rotateAt) || s.count >= maxSenders {
		s.older, s.now, s.count = s.now, make(map[chat.ID]*channelSenders, len(s.now)), 0
		if now.After(s.rotateAt.Add(keepSenders)) {
			s.older = nil
		}
		s.rotateAt = now.Add(keepSenders)
	}
	all(func(id chat.ID, user chat.UserID) {
		head := channels[id]
		in := s.now[id]
		if in == nil {
			in = s.older[id]
		}
		if in == nil {
			head.asked = true
			return
		}
		if _, ok := in.users[user]; !ok {
			head.asked = true
		}
		head.rights = in.rights
	})
}

// learn remembers that a user was allowed to send under a channel's rights_seq.
func (s *senders) learn(id chat.ID, rights chat.Seq, user chat.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.now[id]
	if in == nil || in.rights != rights {
		if s.now == nil || s.count >= maxSenders {
			return // the next call of known makes room
		}
		in = &channelSenders{rights: rights, users: make(map[chat.UserID]struct{}, 1)}
		s.now[id] = in
		delete(s.older, id)
	}
	if _, ok := in.users[user]; !ok {
		in.users[user] = struct{}{}
		s.count++
	}
}

// forget drops a channel in which rights have changed.
func (s *senders) forget(id chat.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, id)
	delete(s.older, id)
}
