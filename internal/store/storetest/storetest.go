// Package storetest is the suite of behaviours that the store must have on every database.
package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/internal/store"
)

// Run runs the suite. open returns a function that opens one database, the same at each
// call of one test.
func Run(t *testing.T, open func(t *testing.T) func() *store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, b *bench)
	}{
		{"Messages", testMessages},
		{"Replies", testReplies},
		{"OrderUnderLoad", testOrderUnderLoad},
		{"Duplicates", testDuplicates},
		{"ForgedDuplicates", testForgedDuplicates},
		{"DuplicatesOfWhatIsNoLongerAllowed", testLateDuplicates},
		{"RefusedAmongOthers", testRefusedAmongOthers},
		{"BadChangeFailsAlone", testBadChange},
		{"Edits", testEdits},
		{"Archive", testArchive},
		{"Reactions", testReactions},
		{"Pins", testPins},
		{"Members", testMembers},
		{"LastOwner", testLastOwner},
		{"PublicChannel", testPublicChannel},
		{"RemovedMemberCannotSend", testRemovedMember},
		{"Direct", testDirect},
		{"Channels", testChannels},
		{"Browse", testBrowse},
		{"Membership", testMembership},
		{"HistoryPages", testHistoryPages},
		{"HistoryQueries", testHistoryQueries},
		{"Log", testLog},
		{"Retention", testRetention},
		{"DeleteUpTo", testDeleteUpTo},
		{"Reads", testReads},
		{"OwnReads", testOwnReads},
		{"Unread", testUnread},
		{"CallsShareStatements", testBatches},
		{"Users", testUsers},
		{"FindUsers", testFindUsers},
		{"Accounts", testAccounts},
		{"Secrets", testSecrets},
		{"Sessions", testSessions},
		{"Tickets", testTickets},
		{"Revocations", testRevocations},
		{"Nodes", testNodes},
		{"HeadsBeyond", testHeadsBeyond},
		{"Joins", testJoins},
		{"Reopen", testReopen},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			again := open(t)
			c.test(t, &bench{t: t, again: again, s: again()})
		})
	}
}
