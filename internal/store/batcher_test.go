package store

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/database"
)

// TestKeysForWhichNoOneWaitsAreNotLoaded, and callers who still wait get their values.
func TestKeysForWhichNoOneWaitsAreNotLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads [][]int
		proceed := make(chan struct{})
		b := newBatcher(func(_ context.Context, keys []int) (map[int]int, error) {
			<-proceed
			loads = append(loads, keys)
			values := make(map[int]int)
			for _, k := range keys {
				values[k] = k
			}
			return values, nil
		})
		defer b.close()
		get := func(ctx context.Context, key int) <-chan error {
			done := make(chan error, 1)
			go func() { // ends with the load, or with ctx
				v, _, err := b.get(ctx, key)
				if err == nil && v != key {
					t.Errorf("got %d, want %d", v, key)
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		leaving, leave := context.WithCancel(t.Context())
		first := get(t.Context(), 0) // is being loaded
		left := []<-chan error{get(leaving, 1), get(leaving, 2)}
		stay := []<-chan error{get(t.Context(), 2), get(t.Context(), 3), first}
		leave()
		for _, done := range left {
			if err := <-done; err == nil {
				t.Error("a caller who left got a value")
			}
		}
		proceed <- struct{}{}
		proceed <- struct{}{}
		for _, done := range stay {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([][]int{{0}, {2, 3}}, loads); diff != "" {
			t.Errorf("loads (-want +got):\n%s", diff)
		}
	})
}

// TestALoadWithoutAConnectionIsRetried a few times. Other failures are not.
func TestALoadWithoutAConnectionIsRetried(t *testing.T) {
	none := database.ErrNotBegun
	for name, c := range map[string]struct {
		errs  []error
		loads int
		fails bool
	}{
		"soon":          {[]error{none, fmt.Errorf("channel_states: %w", none)}, 3, false},
		"never":         {[]error{none, none, none, none}, 3, true},
		"other failure": {[]error{database.ErrUnavailable}, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			loads := 0
			b := newBatcher(func(context.Context, []int) (map[int]int, error) {
				loads++
				if loads <= len(c.errs) {
					return nil, c.errs[loads-1]
				}
				return map[int]int{7: 49}, nil
			})
			defer b.close()
			v, found, err := b.get(t.Context(), 7)
			if loads != c.loads {
				t.Errorf("%s: loaded %d times, want %d", name, loads, c.loads)
			}
			if (err != nil) != c.fails {
				t.Errorf("%s: got error %v, want one: %v", name, err, c.fails)
			}
			if !c.fails && (!found || v != 49) {
				t.Errorf("%s: got %d (found: %v), want 49", name, v, found)
			}
		})
	}
}
