package incident

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/cmd/chowk-lab/internal/oldways"
	"github.com/chowk-chat/chowk/internal/bench/report"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// A small version of the incident: a pool of 2 + 1 and eight sockets.
func TestASmallIncident(t *testing.T) {
	t.Setenv("CHOWK_LISTEN", "settings of the environment are ignored")
	database := pgtest.Database(t)
	r, err := Run(t.Context(), Options{
		DatabaseURL: database, Chowk: testkit.Binary(t), Sockets: 8, Senders: 7, Bytes: 4000, Rate: 80, ConnectRate: 40,
		Duration: 4 * time.Second, Size: 2, Overflow: 1, Timeout: 10 * time.Second, SendBuffer: 4096,
	})
	if err != nil {
		t.Fatal(err)
	}
	perSocket, perEvent, chowk := r.Ways[0], r.Ways[1], r.Ways[2]
	if perSocket.LetIn != 3 || perSocket.ExhaustedAt < 0 {
		t.Errorf("a connection per socket: %d sockets accepted, and its pool of 3 exhausted at %v", perSocket.LetIn,
			perSocket.ExhaustedAt)
	}
	if perEvent.LetIn != 8 || perEvent.ExhaustedAt < 0 || perEvent.AcksAfter > perEvent.AcksBefore/2 {
		t.Errorf("a connection per event: %d sockets accepted, pool exhausted at %v, acks %v then %v",
			perEvent.LetIn, perEvent.ExhaustedAt, perEvent.AcksBefore, perEvent.AcksAfter)
	}
	if chowk.LetIn != 8 || chowk.ExhaustedAt >= 0 || chowk.UsableAfter != 7 || chowk.AcksAfter < chowk.AcksBefore/2 {
		chowk.Points, chowk.Pool = nil, nil
		t.Errorf("chowk: %+v", chowk)
	}
	db, err := oldways.Open(t.Context(), database, "left")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	if n, err := db.Schemas(t.Context(), "chowk_bench_"); err != nil || n != 0 {
		t.Errorf("%d schemas are left: %v", n, err)
	}
}

// fixture returns a made-up result.
func fixture() *Result {
	r := &Result{
		Started: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Machine: "linux/amd64 with 2 processors",
		Settings:    (&Options{Sockets: 45, Senders: 44}).settings(),
		Connections: 30, Sockets: 45, Seconds: 4, SilentAt: 2,
	}
	for i, name := range []string{PerSocket, PerEvent, Chowk} {
		w := Way{
			Name: name, LetIn: 45, UsableBefore: 45, UsableAfter: 44, InUseBefore: 2, InUseAfter: 1, OpenMost: 10,
			ExhaustedAt: -1, AcksBefore: 80, AcksAfter: 80, LastAck: 4,
		}
		if i == 0 {
			w.LetIn, w.ExhaustedAt, w.LastAck = 30, 0.5, 3
		}
		if i == 1 {
			w.ExhaustedAt, w.AcksAfter, w.UsableAfter, w.LastAck, w.Unanswered = 2.5, 0, 0, 2.5, 44
		}
		for at := 1.0; at <= 4; at++ {
			w.Points = append(w.Points, report.Point{At: at, Open: 45, Usable: 45, Rates: map[string]float64{"acked": 80 + at}})
			w.Pool = append(w.Pool, Sample{At: at, Open: 10, InUse: int(at) * (3 - i)})
		}
		r.Ways = append(r.Ways, w)
	}
	return r
}

func TestThePictureAndTheTable(t *testing.T) {
	t.Parallel()
	r := fixture()
	var svg, table, page bytes.Buffer
	for _, err := range []error{r.SVG(&svg), r.Table(&table), r.HTML(&page)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	testkit.Golden(t, "incident.svg", svg.Bytes())
	testkit.Golden(t, "incident.txt", table.Bytes())
	if found := regexp.MustCompile(`(?i)<script|<link|<img|\bsrc=|url\(|@import|\shref=`).
		FindString(page.String()); found != "" || !strings.Contains(page.String(), "<svg") {
		t.Errorf("the page is empty, or loads something: %q", found)
	}
	var back Result
	var text bytes.Buffer
	if err := report.WriteJSON(&text, r); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || fmt.Sprint(back) != fmt.Sprint(*r) {
		t.Errorf("the JSON does not read back as the result: %v", err)
	}
}

func TestAPoolIsExhaustedWhenItStaysFull(t *testing.T) {
	t.Parallel()
	samples := func(inUse ...int) (all []Sample) {
		for i, n := range inUse {
			all = append(all, Sample{At: float64(i) / 8, InUse: n})
		}
		return all
	}
	for want, l := range map[float64][]Sample{
		-1:    samples(3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 3, 3),
		0.125: samples(0, 3, 3, 3, 3, 3, 3),
	} {
		if got := exhausted(l, 3); got != want {
			t.Errorf("exhausted at %v, want %v: %v", got, want, l)
		}
	}
}
