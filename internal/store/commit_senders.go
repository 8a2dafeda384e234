package store

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

const (
	sendersMost = 65_536           // remembered, and as many older ones: some 3 MB
	sendersKept = 30 * time.Second // at least, and at most twice that
)

// senders remembers who was let send to a channel, together with the rights_seq of
// that moment. Every change of a channel's members, roles or archiving moves its
// rights_seq, in the same transaction; so whoever commits a message and finds the
// old rights_seq in the channel's row, which he then has locked, knows that
// nothing has changed, and need not look at the members. It is the database that
// lets him send, not this memory: a wrong entry here costs an attempt.
//
// What an operator changes by hand in the members' table is noticed when the entry
// is dropped.
type senders struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.ID]*channelSenders
	count      int // of users in now
	turn       time.Time
}

type channelSenders struct {
	rights  chat.Seq
	allowed chat.Roles
	users   map[chat.UserID]struct{}
}

// known sets, for each channel, the rights_seq under which all its senders were
// let send, or asked when one of them is not remembered. all yields the senders.
func (s *senders) known(channels map[chat.ID]*sendHead, allowed chat.Roles, all func(yield func(chat.ID, chat.UserID))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.turn) || s.count >= sendersMost {
		s.older, s.now, s.count = s.now, make(map[chat.ID]*channelSenders, len(s.now)), 0
		if now.After(s.turn.Add(sendersKept)) {
			s.older = nil
		}
		s.turn = now.Add(sendersKept)
	}
	all(func(id chat.ID, user chat.UserID) {
		head := channels[id]
		of := s.now[id]
		if of == nil {
			of = s.older[id]
		}
		if of == nil || of.allowed != allowed {
			head.asked = true
			return
		}
		if _, ok := of.users[user]; !ok {
			head.asked = true
		}
		head.rights = of.rights
	})
}

// learn notes that a user was let send under a channel's rights_seq.
func (s *senders) learn(id chat.ID, rights chat.Seq, allowed chat.Roles, user chat.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.now[id]
	if of == nil || of.rights != rights || of.allowed != allowed {
		if s.now == nil || s.count >= sendersMost {
			return // the next look makes room
		}
		of = &channelSenders{rights: rights, allowed: allowed, users: make(map[chat.UserID]struct{}, 1)}
		s.now[id] = of
		delete(s.older, id)
	}
	if _, ok := of.users[user]; !ok {
		of.users[user] = struct{}{}
		s.count++
	}
}

// forget drops a channel whose rights have changed.
func (s *senders) forget(id chat.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, id)
	delete(s.older, id)
}
