package relay

import "github.com/chowk-chat/chowk/chat"

// acceptable reports whether another node may have sent these entries: they belong to
// one channel, each has what its type requires, and none starts a membership, because
// a node trusts only the database for that. A type that only a later version knows is
// not acceptable; its entry is read from the database.
func acceptable(entries []chat.Entry) bool {
	for i := range entries {
		e := &entries[i]
		if !e.Valid() || e.ChannelID != entries[0].ChannelID || e.StartsMemberships() {
			return false
		}
	}
	return len(entries) > 0
}
