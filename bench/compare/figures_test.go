package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReportsOfAllProgramsAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		report string
		want   []figure
	}{
		"db": {
			`{"conditions":"go1.26","measurements":[
				{"step":"postgres/hot-channel","way":"journal","senders":200,"per_second":1000,"p50_ms":1.5,"p99_ms":4,
				 "own_cpu_per_million":20,"postgres_cpu_per_million":30,"foreign_percent":21,"stored":5},
				{"step":"sqlite/hot-channel","way":"journal","per_second":2000,"p50_ms":1,"p99_ms":2,"own_cpu_per_million":10,
				 "postgres_cpu_per_million":0,"foreign_percent":3}],"marks":[{"name":"x","value":1}]}`,
			[]figure{
				{"postgres/hot-channel", "journal: throughput", "/s", 1000, true},
				{"postgres/hot-channel", "journal: latency p50", "ms", 1.5, true},
				{"postgres/hot-channel", "journal: latency p99", "ms", 4, true},
				{"postgres/hot-channel", "journal: CPU of chowk", "s/million", 20, true},
				{"postgres/hot-channel", "journal: CPU of PostgreSQL", "s/million", 30, true},
				{"sqlite/hot-channel", "journal: throughput", "/s", 2000, false},
				{"sqlite/hot-channel", "journal: latency p50", "ms", 1, false},
				{"sqlite/hot-channel", "journal: latency p99", "ms", 2, false},
				{"sqlite/hot-channel", "journal: CPU of chowk", "s/million", 10, false},
			},
		},
		"ops": {
			`{"conditions":"x","results":[{"step":"stall","figures":[{"name":"full load","value":8,"unit":"/s"},
				{"name":"looks","value":0}],"marks":[],"foreign_percent":30}]}`,
			[]figure{{"stall", "full load", "/s", 8, true}, {"stall", "looks", "", 0, true}},
		},
		"sockets": {
			`{"time":"2026-01-02T15:04:05Z","results":[{"scenario":"echo","server":"chowk",
				"values":[{"name":"cpu","value":2.5,"unit":" us"}]}]}`,
			[]figure{{"echo", "chowk: cpu", " us", 2.5, false}},
		},
	} {
		got, err := readFigures([]byte(c.report))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(figure{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	for _, bad := range []string{``, `{}`, `{"measurements":[]}`, `[1]`} {
		if got, err := readFigures([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestFiguresArePairedByNameElseByPosition(t *testing.T) {
	t.Parallel()
	f := func(step, name, unit string) figure { return figure{step: step, name: name, unit: unit} }
	for name, c := range map[string]struct {
		base, head []figure
		want       []pair
	}{
		"by name, in another order": {
			[]figure{f("s", "a", "ms"), f("s", "b", "/s")},
			[]figure{f("s", "b", "/s"), f("s", "a", "ms")},
			[]pair{{f("s", "b", "/s"), f("s", "b", "/s")}, {f("s", "a", "ms"), f("s", "a", "ms")}},
		},
		"one was renamed": {
			[]figure{f("s", "a", "ms"), f("s", "old", "/s")},
			[]figure{f("s", "a", "ms"), f("s", "new", "/s")},
			[]pair{{f("s", "a", "ms"), f("s", "a", "ms")}, {f("s", "old", "/s"), f("s", "new", "/s")}},
		},
		"one was added: names only": {
			[]figure{f("s", "a", "ms"), f("s", "old", "/s")},
			[]figure{f("s", "more", ""), f("s", "a", "ms"), f("s", "new", "/s")},
			[]pair{{f("s", "a", "ms"), f("s", "a", "ms")}},
		},
		"another unit": {
			[]figure{f("s", "a", "ms")}, []figure{f("s", "a", "us")}, nil,
		},
		"another step": {
			[]figure{f("s", "a", "ms")}, []figure{f("t", "a", "ms")}, nil,
		},
	} {
		if diff := cmp.Diff(c.want, match(c.base, c.head), cmp.AllowUnexported(pair{}, figure{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	got, err := parseSteps("db:hot-channel, sockets:echo,ops:restart/sqlite")
	want := []selection{{"db", "hot-channel"}, {"sockets", "echo"}, {"ops", "restart/sqlite"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(selection{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for _, bad := range []string{"", "db", "db:", "web:x", "db:x,,"} {
		if got, err := parseSteps(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}
