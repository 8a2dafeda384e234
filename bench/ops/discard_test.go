//go:build !windows

package main

import (
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

func TestDiscardedMetricsCountNothing(t *testing.T) {
	m := discard()
	m.Gateway.Answered("new_message", "ok", time.Second, chat.NewID(), "")
	m.Gateway.Answered("new_message", "forbidden", time.Second, chat.NewID(), "")
	m.Store.Acquired("commit", 0, time.Second)
	m.Hub.Delivered.Add(10)
	m.Journal.Commit.Observe(1)
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, sample := range f.GetMetric() {
			if sample.GetCounter().GetValue() != 0 || sample.GetHistogram().GetSampleCount() != 0 {
				t.Errorf("%s was counted: %v", f.GetName(), sample)
			}
		}
	}
}
