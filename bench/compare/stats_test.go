package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, math.Inf(1), 2}, 2},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		base, head []float64
		want       *spread
	}{
		// The machine is half as fast in the second round: the ratios do not notice.
		"a slow round":        {[]float64{100, 50, 100}, []float64{110, 55, 120}, &spread{Median: 1.1, Min: 1.1, Max: 1.2}},
		"an even number":      {[]float64{1, 1}, []float64{1, 3}, &spread{Median: 2, Min: 1, Max: 3}},
		"zeros have none":     {[]float64{0, 2, 5}, []float64{1, 1, 0}, &spread{Median: 0.5, Min: 0.5, Max: 0.5}},
		"nothing but zeros":   {[]float64{0, 0}, []float64{1, 0}, nil},
		"infinity has none":   {[]float64{1, 2}, []float64{math.Inf(1), 1}, &spread{Median: 0.5, Min: 0.5, Max: 0.5}},
		"no round at all":     {nil, nil, nil},
		"negatives have none": {[]float64{-1}, []float64{-2}, nil},
	} {
		if diff := cmp.Diff(c.want, ratios(c.base, c.head), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestRoundsAddUp(t *testing.T) {
	t.Parallel()
	c := &comparison{
		Base: &side{Name: "main", Commit: "0123456789abcdef"}, Head: &side{
			Name: "working tree", Commit: "fedcba9876543210",
			Changed: true,
		},
		Machine: "a machine", Rounds: 3,
	}
	for _, v := range []struct{ base, head float64 }{{100, 110}, {200, 180}, {100, 100}} {
		c.add("db", []pair{{
			figure{"sqlite/hot", "throughput", "/s", v.base, false},
			figure{"sqlite/hot", "throughput", "/s", v.head, v.head == 180},
		}})
	}
	want := []*row{{
		Program: "db", Step: "sqlite/hot", Name: "throughput", Unit: "/s", Noisy: true,
		Base: []float64{100, 200, 100}, Head: []float64{110, 180, 100}, Ratio: &spread{Median: 1, Min: 0.9, Max: 1.1},
	}}
	if diff := cmp.Diff(want, c.Rows, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var table strings.Builder
	if err := c.Table(&table); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"base main (0123456789), head working tree (fedcba9876 with changes); a machine; 3 rounds",
		"100   110    /s      1.000  0.900  1.100  db:sqlite/hot throughput #noisy",
	} {
		if !strings.Contains(table.String(), words) {
			t.Errorf("the table lacks %q:\n%s", words, table.String())
		}
	}
	path := filepath.Join(t.TempDir(), "c.json")
	if err := c.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	var read comparison
	if err != nil || json.Unmarshal(text, &read) != nil {
		t.Fatal(err, string(text))
	}
	if diff := cmp.Diff(c, &read, cmp.AllowUnexported(side{})); diff != "" {
		t.Errorf("the JSON differs: (-want +got)\n%s", diff)
	}
}
