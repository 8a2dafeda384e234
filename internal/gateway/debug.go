package gateway

import (
	"cmp"
	"slices"

	"github.com/chowk-chat/chowk/chat"
)

// SocketInfo describes one open socket to an administrator.
type SocketInfo struct {
	Connection chat.ID     `json:"connection"`
	User       chat.UserID `json:"user"`
	Address    string      `json:"address"`
	OpenForS   float64     `json:"open_for_s"`
	Events     uint32      `json:"events"` // commands received
	Protocol   string      `json:"protocol"`
	Backlogged bool        `json:"backlogged"`
}

// SocketList is the result of Gateway.Debug.
type SocketList struct {
	Open       int          `json:"open"`
	Backlogged int          `json:"backlogged"`
	Users      int          `json:"users"`
	Sockets    []SocketInfo `json:"sockets"`
}

// Debug counts the open sockets and describes up to limit of them: backlogged ones
// first, then the oldest.
func (g *Gateway) Debug(limit int) SocketList {
	all := g.sessions.all()
	list := SocketList{Sockets: make([]SocketInfo, 0, len(all))}
	users := make(map[chat.UserID]struct{})
	for _, s := range all {
		if s.isInternal() {
			continue
		}
		list.Open++
		users[s.user()] = struct{}{}
		info := s.info()
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
	list.Sockets = list.Sockets[:min(limit, len(list.Sockets))]
	return list
}

func (s *session) info() SocketInfo {
	protocol := "old"
	if s.knownClient {
		protocol = chat.Protocol
	}
	return SocketInfo{
		Connection: s.id, User: s.user(), Address: s.remote().String(), OpenForS: s.openFor(s.gateway.age()).Seconds(),
		Events: s.commands.Load(), Protocol: protocol, Backlogged: s.Backlogged(),
	}
}

// Count returns how many sockets are open, and how many of them have a peer that does
// not read what was written.
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
