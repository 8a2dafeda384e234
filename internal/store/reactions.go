package store

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
)

var reactionColumns = table.Columns[chat.Reaction]{
	table.Text("emoji", func(r *chat.Reaction) *string { return &r.Emoji }),
	table.User("user_id", func(r *chat.Reaction) *chat.UserID { return &r.UserID }),
	table.Time("created_at", func(r *chat.Reaction) *chat.Time { return &r.CreatedAt }),
}

var reactionKey = table.Columns[state.Reaction]{
	table.ID("message_id", func(r *state.Reaction) *chat.ID { return &r.MessageID }),
	table.Text("emoji", func(r *state.Reaction) *string { return &r.Emoji }),
	table.User("user_id", func(r *state.Reaction) *chat.UserID { return &r.UserID }),
}

var (
	insertReaction = table.Insert("insert_reaction", "reactions",
		table.Within(reactionKey, func(w *state.ReactionAdded) *state.Reaction { return &w.Reaction }).And(
			table.Time("created_at", func(w *state.ReactionAdded) *chat.Time { return &w.At })), "")
	deleteReaction  = table.Delete("delete_reaction", "reactions", reactionKey)
	deleteReactions = table.Delete("delete_reactions", "reactions", reactionKey.Pick("message_id"))

	listReactions = "-- name: list_reactions\nSELECT " + reactionColumns.List("") + `, message_id
		FROM reactions WHERE message_id = ANY($1) ORDER BY created_at, user_id`
)

// addReactions adds the reactions to a page of messages with one statement.
func addReactions(c conn, page []chat.Message) error {
	at := make(map[chat.ID]int)
	var ids []chat.ID
	for i := range page {
		if page[i].ReactionCount > 0 {
			at[page[i].ID] = i
			ids = append(ids, page[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return database.Query(c, listReactions, func(r row) error {
		var id chat.ID
		var reaction chat.Reaction
		err := reactionColumns.Scan(r, &reaction, &id)
		m := &page[at[id]]
		m.Reactions = append(m.Reactions, reaction)
		return err
	}, ids)
}
