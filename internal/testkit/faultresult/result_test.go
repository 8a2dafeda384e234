package faultresult

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/history"
)

func TestResultsBecomeATable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	if all, err := Read(file); err != nil || len(all) != 0 {
		t.Fatalf("of no file: %v, %v", all, err)
	}
	good := Of(&history.Report{
		Messages: 1_234_567, Delivered: 999, Received: 200, Repeated: 1,
		FirstAck: []time.Duration{2 * time.Second, 30 * time.Millisecond, time.Millisecond},
	})
	good.Database, good.Fault, good.Times = "sqlite", "server killed (-9)", 3
	bad := Of(&history.Report{Messages: 1, Violations: []history.Violation{
		{Rule: history.NoGap, Count: 2},
		{Rule: history.RealTime, Count: 3},
		{Rule: history.Removal, Count: 4},
		{Rule: history.NoRepeat, Count: 5},
	}})
	bad.Database, bad.Fault = "postgres", "nothing"
	for _, r := range []*Result{&good, &good, &bad} {
		if err := r.Append(file); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Read(file)
	if err != nil || len(all) != 3 || !reflect.DeepEqual(all[0].FirstAck, good.FirstAck) {
		t.Fatalf("read %+v, %v", all, err)
	}
	for _, c := range []struct {
		all  []Result
		kept bool
		want []string
	}{
		{all[:2], true, []string{
			"| sqlite | server killed (-9) | 2 | 6 | 2,469,134 | 1,998 | 0 | 30 ms / 2.0 s | - | 0.50 % |\n",
			"1 kinds of faults, 2 runs, 6 times: 2,469,134 messages acknowledged and 1,998 entries delivered; " +
				"0 lost, 0 duplicated, 0 out of order, 0 other violations. Worst recovery 2.0 s to",
		}},
		{all, false, []string{
			"| postgres | nothing | 1 | 0 | 1 | 0 | 14 | - | - | 0.00 % |\n",
			"2 lost, 5 duplicated, 3 out of order, 4 other violations",
		}},
	} {
		var b strings.Builder
		if kept, err := Table(&b, c.all); kept != c.kept || err != nil {
			t.Errorf("kept %v, %v", kept, err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		}
	}
}
