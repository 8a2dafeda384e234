package faultclock

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestAStepMovesOnlyTheTimeOfDay(t *testing.T) {
	before := time.Now()
	for _, seconds := range []int{3600, 1, 0, -1, -3600, -10 * 365 * 86400} {
		stepped, want := Step(before, seconds), time.Duration(seconds)*time.Second
		if got := stepped.Round(0).Sub(before.Round(0)); got != want {
			t.Errorf("the time of day moved by %v, want %v", got, want)
		}
		if got := stepped.Sub(before); got != 0 {
			t.Errorf("set by %v, the monotonic reading moved by %v", want, got)
		}
		if got := Step(before.Round(0), seconds).Sub(before.Round(0)); got != want {
			t.Errorf("a time without a monotonic reading moved by %v, want %v", got, want)
		}
	}
}

func TestAClockFollowsItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "offset")
	now := Follow(file)
	for _, seconds := range []int{0, 3600, -3600} {
		if seconds != 0 {
			if err := os.WriteFile(file, []byte(strconv.Itoa(seconds)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		off := func() time.Duration { return now().Round(0).Sub(time.Now().Round(0)).Round(time.Minute) }
		for range 1000 { // one poll interval each
			if off() == time.Duration(seconds)*time.Second {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if got := off(); got != time.Duration(seconds)*time.Second {
			t.Errorf("off by %v, want %d s", got, seconds)
		}
	}
}
