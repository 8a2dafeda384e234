package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// TestBucketsAreBounded, however many users come, and the ones that were used last
// week make room first.
func TestBucketsAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := newBuckets(func() time.Time { return now })
	b.max = 64
	for range writesBurst + 1 {
		_ = b.take("hasty")
	}
	if b.take("hasty") == nil {
		t.Fatal("nobody is held back")
	}
	for i := range 63 {
		if err := b.take(chat.UserID(fmt.Sprint("old", i))); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(100 * time.Millisecond) // theirs are full again, the hasty one's is not
	for i := range 50 {
		if err := b.take(chat.UserID(fmt.Sprint("new", i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.user) > b.max {
		t.Errorf("%d buckets, at most %d", len(b.user), b.max)
	}
	if b.user["hasty"] == nil {
		t.Error("the one who was held back was forgotten before those who were not")
	}
	for i := range 10_000 {
		_ = b.take(chat.UserID(fmt.Sprint("flood", i)))
		if len(b.user) > b.max {
			t.Fatalf("%d buckets, at most %d", len(b.user), b.max)
		}
	}
}
