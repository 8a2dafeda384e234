//go:build !windows

package main

import (
	"fmt"

	"github.com/chowk-chat/chowk/chat"
)

// world is the users and channels of a measurement.
type world struct {
	users    []chat.UserID
	channels []chat.ID
	each     int // channels of a user
}

func newWorld(users, channels, each int) *world {
	w := &world{each: min(each, channels)}
	for i := range users {
		w.users = append(w.users, chat.UserID(fmt.Sprintf("user-%06d", i)))
	}
	for range channels {
		w.channels = append(w.channels, chat.NewID())
	}
	return w
}

// sender returns a user and their channels: a stride through all channels, so that each
// has members.
func (w *world) sender(i int) (chat.UserID, []chat.ID) {
	i %= len(w.users)
	channels := make([]chat.ID, w.each)
	for k := range channels {
		channels[k] = w.channels[(i*w.each+k*7)%len(w.channels)]
	}
	if len(w.channels) >= w.each*7 {
		return w.users[i], channels
	}
	for k := range channels { // few channels: the stride would repeat them
		channels[k] = w.channels[(i*w.each+k)%len(w.channels)]
	}
	return w.users[i], channels
}

// members calls f for every membership.
func (w *world) members(f func(channel chat.ID, user chat.UserID)) {
	for i := range w.users {
		user, channels := w.sender(i)
		for _, c := range channels {
			f(c, user)
		}
	}
}
