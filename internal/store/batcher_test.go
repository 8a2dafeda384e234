package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chowk-chat/chowk/internal/database"
)

// TestWhatNobodyWaitsForIsNotLoaded, and whoever still waits is answered.
func TestWhatNobodyWaitsForIsNotLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads [][]int
		proceed := make(chan struct{})
		g := newBatcher(func(_ context.Context, keys []int) (map[int]int, error) {
			<-proceed
			loads = append(loads, keys)
			values := make(map[int]int)
			for _, k := range keys {
				values[k] = k
			}
			return values, nil
		})
		defer g.close()
		ask := func(ctx context.Context, key int) <-chan error {
			done := make(chan error, 1)
			go func() { // ends when answered, or with ctx
				v, _, err := g.get(ctx, key)
				if err == nil && v != key {
					t.Errorf("%d for %d", v, key)
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		hasty, leave := context.WithCancel(t.Context())
		first := ask(t.Context(), 0) // being loaded
		gone := []<-chan error{ask(hasty, 1), ask(hasty, 2)}
		stays := []<-chan error{ask(t.Context(), 2), ask(t.Context(), 3)}
		leave()
		for _, c := range gone {
			if err := <-c; err == nil {
				t.Error("one who left was answered")
			}
		}
		proceed <- struct{}{}
		proceed <- struct{}{}
		for _, c := range append(stays, first) {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		if len(loads) != 2 || !slices.Equal(loads[1], []int{2, 3}) {
			t.Errorf("loads: %v", loads)
		}
	})
}

// TestALoadWithoutAConnectionIsTriedAgain a few times, and no other failure is.
func TestALoadWithoutAConnectionIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		errs  []error
		loads int
		fails bool
	}{
		"soon":    {[]error{database.ErrNotBegun, fmt.Errorf("standings: %w", database.ErrNotBegun)}, 3, false},
		"never":   {[]error{database.ErrNotBegun, database.ErrNotBegun, database.ErrNotBegun, database.ErrNotBegun}, 3, true},
		"another": {[]error{database.ErrUnavailable}, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			loads := 0
			g := newBatcher(func(context.Context, []int) (map[int]int, error) {
				loads++
				if loads <= len(c.errs) {
					return nil, c.errs[loads-1]
				}
				return map[int]int{7: 49}, nil
			})
			defer g.close()
			v, found, err := g.get(t.Context(), 7)
			if loads != c.loads || (err != nil) != c.fails || !c.fails && (!found || v != 49) {
				t.Errorf("%s: %d loads, %d, %v, %v", name, loads, v, found, err)
			}
		})
	}
}
