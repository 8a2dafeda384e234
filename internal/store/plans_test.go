package store

import (
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestACommitReadsOnlyTheChannelsItIsAbout: PostgreSQL's default cost of a random page made it
// read a thousand channels to commit to one.
func TestACommitReadsOnlyTheChannelsItIsAbout(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	s := openWith(t, url, state.DefaultRules())
	pgtest.Query(t, url, `INSERT INTO channels (id, name, channel_type, is_private, is_archived, created_by, member_count,
			message_count, last_seq, last_message_at, created_at, updated_at)
		SELECT gen_random_uuid(), 'a channel', 'group', true, false, 'ada', 0, 0, 0, 0, 0, 0 FROM generate_series(1, 1000)`)
	pgtest.Query(t, url, "ANALYZE")
	for name, sql := range map[string]string{"of known senders": knownSQL, "of others": sendSQL} {
		plan, err := s.db.Explain(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plan, "Seq Scan on channels") || !strings.Contains(plan, "using channels_pkey") {
			t.Errorf("the plan for messages %s does not use the primary key:\n%s", name, plan)
		}
	}
}
