package gateway

import (
	"cmp"
	"slices"

	"github.com/chowk-chat/chowk/chat"
)

// SocketInfo is one open socket, for whoever runs the server.
type SocketInfo struct {
	Connection chat.ID     `json:"connection"`
	User       chat.UserID `json:"user"`
	Address    string      `json:"address"`
	OpenForS   float64     `json:"open_for_s"`
	Events     uint32      `json:"events"`
	Protocol   string      `json:"protocol"`
	Backlogged bool        `json:"backlogged"`
}

// SocketList is what Debug gives.
type SocketList struct {
	Open       int          `json:"open"`
	Backlogged int          `json:"backlogged"`
	Users      int          `json:"users"`
	Sockets    []SocketInfo `json:"sockets"`
}

// Debug lists at most most of the open sockets: those that take nothing first, then
// the oldest.
func (g *Gateway) Debug(most int) SocketList {
	all := g.sessions.all()
	list := SocketList{Sockets: make([]SocketInfo, 0, len(all))}
	users := make(map[chat.UserID]struct{})
	now := g.age()
	for _, s := range all {
		if s.isInternal() {
			continue
		}
		list.Open++
		users[s.user()] = struct{}{}
		info := SocketInfo{
			Connection: s.id, User: s.user(), Address: s.remote().String(), OpenForS: s.openFor(now).Seconds(),
			Events: s.events.Load(), Protocol: "old", Backlogged: s.Backlogged(),
		}
		if s.known {
			info.Protocol = chat.Protocol
		}
		if info.Backlogged {
			list.Backlogged++
		}
		list.Sockets = append(list.Sockets, info)
	}
	list.Users = len(users)
	slices.SortFunc(list.Sockets, func(a, b SocketInfo) int {
		if a.Backlogged != b.Backlogged {
			if a.Backlogged {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.OpenForS, a.OpenForS)
	})
	list.Sockets = list.Sockets[:min(most, len(list.Sockets))]
	return list
}

// Count is how many sockets are open, and of how many the peer does not take what
// was written.
func (g *Gateway) Count() (open, backlogged int) {
	for _, s := range g.sessions.all() {
		if s.isInternal() {
			continue
		}
		open++
		if s.Backlogged() {
			backlogged++
		}
	}
	return open, backlogged
}
