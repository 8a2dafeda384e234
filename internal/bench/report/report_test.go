package report

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// fixture returns a made-up report.
func fixture() *Report {
	r := &Report{
		Title: "chowk bench fanout", What: "few senders, and every message goes to many sockets",
		Target:  "http://127.0.0.1:8080",
		Started: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Machine: "load from linux/amd64 with 2 processors, go1.26",
		Settings: []Setting{{"sockets", "1,000"}, {"content", "100 B"}},
		Findings: []string{"3 deliveries were still missing at the end"},
		Phases: []Phase{
			{
				Name: "open", Seconds: 2.004, Counts: map[string]int64{"opened": 1000},
				Latencies: map[string]Latency{"open": {1000, 1.8, 1.02, 2.44, 20.04, 24.1, 24.13}},
			},
			{
				Name: "load", Seconds: 10, Counts: map[string]int64{
					"sent": 200, "acked": 199, "stored": 199, "denied": 1,
					"delivered": 199_000, "received_bytes": 105 << 20,
				},
				Codes: map[string]int64{"overloaded": 1},
				Latencies: map[string]Latency{
					"ack":      {199, 5.25, 4.31, 8.12, 28.5, 29.4, 29.4},
					"delivery": {199_000, 7.06, 5.06, 10.7, 50.5, 1051.1, 12051},
				},
			},
		},
		Server: &Server{CPUSeconds: 1.234, MemoryStart: 20 << 20, MemoryMost: 42 << 20, PerSocket: 2200, Goroutines: 25},
	}
	for i := range 12 {
		at := float64(i + 1)
		r.Points = append(r.Points, Point{
			At: at, Phase: "load", Open: 1000, Usable: int64(1000 - i),
			Rates: map[string]float64{"sent": 20, "acked": 19 + math.Mod(at, 3), "delivered": 19_900},
			P50:   map[string]float64{"delivery": 5 + at}, P99: map[string]float64{"delivery": 40 + at},
		})
	}
	return r
}

func TestTheTableAndThePlots(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	if err := fixture().Table(&table); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "table.txt", table.Bytes())
	var page bytes.Buffer
	if err := fixture().HTML(&page); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "page.html", page.Bytes())
}

func TestSettingsAreEscapedOnThePage(t *testing.T) {
	t.Parallel()
	r := fixture()
	r.Settings[0].Value = "<script>alert(1)</script>"
	r.Phases[1].Codes = map[string]int64{"<script>": 1}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page.Bytes(), []byte("<script")) {
		t.Error("text became a script")
	}
}

func TestPeaksRemainWhenPointsAreThinned(t *testing.T) {
	t.Parallel()
	points := make([]XY, 10_000)
	for i := range points {
		points[i] = XY{float64(i), 1}
	}
	points[7777].Y = 99
	thinned := thin(points, 100)
	most := 0.0
	for _, p := range thinned {
		most = max(most, p.Y)
	}
	if len(thinned) != 100 || most != 99 {
		t.Errorf("%d points with a maximum of %v", len(thinned), most)
	}
}

func TestNumbersAreFormatted(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1,234,567": Count(1_234_567), "-999": Count(-999), "-1,000": Count(-1000), "0.12": short(0.123),
		"12.3": short(12.34), "1,235": short(1234.5),
		"1.50 KiB": Bytes(1536), "17 B": Bytes(17),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
