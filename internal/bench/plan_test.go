package bench

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

func TestAPlanOutOfBoundsNamesTheFlag(t *testing.T) {
	t.Parallel()
	good := Plan{Scenario: send, URL: "http://127.0.0.1:1", Sockets: 10, ConnectRate: 10, Senders: 1}
	if err := good.complete(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Plan){
		"--url":          func(p *Plan) { p.URL = "127.0.0.1" },
		"--sockets":      func(p *Plan) { p.Sockets = 0 },
		"--channel-size": func(p *Plan) { p.ChannelSize = 11 },
		"--rate":         func(p *Plan) { p.Rate = -1 },
		"--duration":     func(p *Plan) { p.Duration = 25 * time.Hour },
		"--size":         func(p *Plan) { p.Size = 1 << 20 },
		"--senders":      func(p *Plan) { p.Senders = 0 },
		"scenario":       func(p *Plan) { p.Scenario = "all" },
	} {
		p := good
		p.ChannelSize = 0
		spoil(&p)
		if err := p.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSharesCoverAllSocketsOnce(t *testing.T) {
	t.Parallel()
	p := Plan{Sockets: 103}
	next := 0
	for i := range 7 {
		s := p.share(i, 7)
		if s.First != next {
			t.Errorf("share %d begins at %d, want %d", i, s.First, next)
		}
		next += s.Count
	}
	if next != p.Sockets {
		t.Errorf("the shares have %d sockets, want %d", next, p.Sockets)
	}
}

func TestSendersAndSlowSocketsAreSpreadOverTheChannels(t *testing.T) {
	t.Parallel()
	p := Plan{Sockets: 25, ChannelSize: 10, Senders: 2, Slow: 4}
	senders, stalls := map[int]bool{}, 0
	for i := range p.Sockets {
		nth, sends := p.sends(i)
		if sends {
			senders[nth] = true
		}
		if p.isSlow(i) {
			stalls++
			if sends {
				t.Errorf("socket %d both sends and stops reading", i)
			}
		}
	}
	if len(senders) != 6 || p.senders() != 6 || stalls != 4 {
		t.Errorf("%d senders (%d by count), %d slow", len(senders), p.senders(), stalls)
	}
}

func TestFramesOfBothProtocolsAreParsed(t *testing.T) {
	t.Parallel()
	due := time.Unix(0, 1700000000123456789)
	content := string(appendContent(nil, due, 100))
	if len(content) != 100 {
		t.Errorf("content of %d bytes, want 100", len(content))
	}
	for frame, want := range map[string]serverFrame{
		`{"type":"message","channel_id":"c","seq":17,"data":{"content":"` + content + `"}}`: {
			kind: "message", seq: 17,
			due: due,
		},
		`{"type": "message", "channel_id": "c", "data": {"content": "` + content + `"}}`: {
			kind: "message",
			due:  due,
		},
		`{"channel_id": "c", "type": "message", "data": {"content": "` + content + `"}}`: {
			kind: "message",
			due:  due,
		},
		`{"type":"ack","event":"new_message","response":{"status":"sent"}}`: {kind: "ack"},
		`{"type":"ack","event":"typing","response":{"error":"no","code":"forbidden"}}`: {
			kind:    "ack",
			refusal: "forbidden", event: "typing",
		},
		`{"type": "ack", "event": "typing", "response": {"error": "Access denied"}}`: {
			kind:    "ack",
			refusal: "refused", event: "typing",
		},
		`{"type":"error","code":"overloaded","retry_after_ms":250,"event":"typing","message":"x"}`: {
			kind:    "error",
			refusal: "overloaded", after: 250 * time.Millisecond, event: "typing",
		},
		`{"type":"member_joined","seq":3}`: {
			kind: "member_joined",
			seq:  3,
		},
		`rubbish`: {kind: "not understood"},
	} {
		if got := parseFrame([]byte(frame)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", frame, got, want)
		}
	}
}

func TestATickSurvivesItsEncoding(t *testing.T) {
	t.Parallel()
	var all counters
	all.count(sent, 5)
	all.code("overloaded")
	for i := range 1000 {
		all.note(ack, i, time.Duration(i)*time.Millisecond)
	}
	tick := all.drain()
	tick.First, tick.Slot, tick.Phase, tick.Open, tick.Usable, tick.Seconds = 1, 2, "load", 3, 4, 0.5
	b, err := json.Marshal(tick)
	if err != nil {
		t.Fatal(err)
	}
	var back Tick
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !back.Clocks[ack].Equals(tick.Clocks[ack]) {
		t.Error("the histogram changed")
	}
	back.Clocks, tick.Clocks = [clocks]*hdr.Histogram{}, [clocks]*hdr.Histogram{}
	if !reflect.DeepEqual(back, tick) {
		t.Errorf("got %+v, want %+v", back, tick)
	}
	if again := all.drain(); again.Counts[sent] != 0 || again.Clocks[ack] != nil {
		t.Errorf("what was drained is still there: %+v", again)
	}
}

func TestTokensOfAFile(t *testing.T) {
	t.Parallel()
	got, err := ParseTokens("# who\nalice a.b.c\n\n bob  d.e.f \n")
	if want := []Token{{"alice", "a.b.c"}, {"bob", "d.e.f"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "alice", "no/user token", "a b c"} {
		if _, err := ParseTokens(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
