package store

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// changeRow is a row of the table changes, with a payload from the database.
type changeRow struct {
	kind    chat.EventType
	payload string
}

func (r changeRow) Scan(into ...any) error {
	*into[0].(*chat.ID) = oldChannel
	*into[1].(*chat.Seq) = 7
	*into[2].(*string) = string(r.kind)
	*into[3].(*chat.UserID) = "ada"
	*into[4].(*chat.Time) = 1772366400123456
	return into[5].(database.TextTarget).SetText(r.payload)
}

var (
	oldChannel = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")
	oldMessage = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ac")
)

// oldEntries are the entries of testdata/changes.txt.
func oldEntries() []chat.Entry {
	text, at := "<all> & é\u2028", chat.Time(1772366400123456)
	channel := &chat.Channel{
		ID: oldChannel, Name: "general", Topic: &text, ChannelType: chat.Group, CreatedBy: "ada", MemberCount: 3,
		CreatedAt: at, UpdatedAt: at, LastSeq: 7, LastMessageAt: &at,
	}
	all := []chat.Entry{
		{Type: chat.EventMessageUpdated, MessageID: oldMessage, Content: text},
		{Type: chat.EventMessageDeleted, MessageID: oldMessage},
		{Type: chat.EventMessageReaction, MessageID: oldMessage, Emoji: "👍", ReactionCount: 2},
		{Type: chat.EventReactionRemoved, MessageID: oldMessage, Emoji: "👍"},
		{Type: chat.EventMemberJoined, Subject: "bob", Role: chat.RoleMember, Channel: channel},
		{Type: chat.EventMemberLeft, Subject: "bob", Channel: channel},
		{Type: chat.EventMemberUpdated, Subject: "bob", Role: chat.RoleAdmin, Channel: channel},
		{Type: chat.EventChannelJoined, Channel: channel, InitialMembers: []chat.UserID{"ada", "bob"}},
		{Type: chat.EventChannelUpdated, Channel: channel},
	}
	for i := range all {
		all[i].ChannelID, all[i].Seq, all[i].UserID, all[i].At = oldChannel, 7, "ada", at
	}
	return all
}

// TestRowsOfEarlierVersionsAreRead: testdata/changes.txt holds what the version before
// chat.Entry had JSON tags wrote, a type and a payload in each line. It is never
// written again.
func TestRowsOfEarlierVersionsAreRead(t *testing.T) {
	f, err := os.Open("testdata/changes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []chat.Entry
	for lines := bufio.NewScanner(f); lines.Scan(); {
		kind, payload, _ := strings.Cut(lines.Text(), " ")
		var e chat.Entry
		if err := entryColumns.Scan(changeRow{chat.EventType(kind), payload}, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(oldEntries(), got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// TestRowsAreReadAsTheyWereWritten, and hold no column a second time.
func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	for _, e := range oldEntries() {
		payload := encodePayload(&e)
		var got chat.Entry
		if err := entryColumns.Scan(changeRow{e.Type, payload}, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		for _, column := range []string{"type", "seq", "timestamp"} {
			if strings.Contains(payload, `{"`+column+`"`) || strings.Contains(payload, `,"`+column+`":7`) {
				t.Errorf("the payload repeats %s: %s", column, payload)
			}
		}
	}
}
