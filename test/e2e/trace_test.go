package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// collector receives spans like an OpenTelemetry collector.
type collector struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex // guards the fields below
	spans    []*otlp.Span
	resource map[string]string // its attributes
	raw      bytes.Buffer      // all requests, decompressed
	changed  chan struct{}
}

func collect(t *testing.T) *collector {
	c := &collector{t: t, resource: make(map[string]string), changed: make(chan struct{})}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b, err := io.ReadAll(unpacked)
	var data otlp.TracesData // has the encoding of an export request
	if err != nil || proto.Unmarshal(b, &data) != nil {
		c.t.Errorf("the spans cannot be decoded: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(b)
	for _, from := range data.GetResourceSpans() {
		for _, a := range from.GetResource().GetAttributes() {
			c.resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// all waits until f accepts the spans received, and returns them.
func (c *collector) all(what string, f func([]*otlp.Span) bool) []*otlp.Span {
	c.t.Helper()
	deadline := time.After(waitTimeout)
	for {
		c.mu.Lock()
		spans, changed := slices.Clone(c.spans), c.changed
		c.mu.Unlock()
		if f(spans) {
			return spans
		}
		select {
		case <-changed:
		case <-deadline:
			c.t.Fatalf("no %s arrived; received:\n%s", what, describe(spans))
		}
	}
}

func describe(spans []*otlp.Span) string {
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&b, "%x %x under %x %s", s.GetTraceId(), s.GetSpanId(), s.GetParentSpanId(), s.GetName())
		for _, a := range s.GetAttributes() {
			fmt.Fprintf(&b, " %s=%v", a.GetKey(), text(a.GetValue()))
		}
		for _, l := range s.GetLinks() {
			fmt.Fprintf(&b, " -> %x", l.GetSpanId())
		}
		fmt.Fprintf(&b, " %v\n", s.GetStatus())
	}
	return b.String()
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	}
	return v.String()
}

func attr(s *otlp.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return text(a.GetValue())
		}
	}
	return ""
}

// tree has the spans of one trace.
type tree struct {
	t     *testing.T
	spans []*otlp.Span
}

func (c *collector) traceWith(what string, f func(*otlp.Span) bool) tree {
	c.t.Helper()
	var found *otlp.Span
	c.all(what, func(all []*otlp.Span) bool {
		i := slices.IndexFunc(all, f)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	tr := tree{t: c.t}
	for _, s := range c.spans {
		if bytes.Equal(s.GetTraceId(), found.GetTraceId()) {
			tr.spans = append(tr.spans, s)
		}
	}
	return tr
}

// under returns the span of that name whose parent is the given span.
func (tr tree) under(parent *otlp.Span, name string) *otlp.Span {
	tr.t.Helper()
	for _, s := range tr.spans {
		if s.GetName() == name && bytes.Equal(s.GetParentSpanId(), parent.GetSpanId()) {
			return s
		}
	}
	tr.t.Fatalf("no %q under %q in\n%s", name, parent.GetName(), describe(tr.spans))
	return nil
}

func linked(from, to *otlp.Span) bool {
	return slices.ContainsFunc(
		from.GetLinks(), func(l *otlp.Span_Link) bool { return bytes.Equal(l.GetSpanId(), to.GetSpanId()) },
	)
}

// TestSendIsOneTrace checks the spans from the command to the fan-out.
func TestSendIsOneTrace(t *testing.T) {
	databases(t, func(t *testing.T, database string) {
		c := collect(t)
		s := serve(t, database, "auth=none", "trace.endpoint="+c.URL, "trace.ratio=1")
		channel := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		const content = "Words-hUsh-of-a-message"
		ada.send(channel, content)
		bob.expect("message", nil)
		sent := func(sp *otlp.Span) bool { return sp.GetName() == "new_message" }
		c.all("whole trace", func(all []*otlp.Span) bool {
			return slices.ContainsFunc(all, sent) && slices.ContainsFunc(all, func(sp *otlp.Span) bool {
				return sp.GetName() == "hub fan-out" && attr(sp, "chowk.listeners.written") == "2"
			})
		})
		tr := c.traceWith("send", sent)
		event := tr.spans[slices.IndexFunc(tr.spans, sent)]
		if len(event.GetParentSpanId()) != 0 || event.GetKind() != otlp.Span_SPAN_KIND_SERVER ||
			!strings.Contains(ada.hello.raw, `"`+attr(event, "chowk.connection.id")+`"`) ||
			attr(event, "chowk.channel.id") != channel || attr(event, "chowk.command") != "new_message" ||
			attr(event, "chowk.result") != "ok" {
			t.Errorf("the span of the command: %s", describe([]*otlp.Span{event}))
		}
		tr.under(event, "journal queue")
		tr.under(event, "ack")
		tr.under(event, "hub fan-out")
		commit, group := tr.under(event, "journal commit"), tr.under(event, "journal group")
		if !linked(group, event) || !linked(commit, group) || attr(group, "chowk.group.size") != "1" {
			t.Errorf("the spans of the group: %s", describe([]*otlp.Span{commit, group}))
		}
		tr.under(group, "pool wait")
		unit := tr.under(group, "unit of work commit")
		system, name := "postgresql", "commit"
		if strings.Contains(database, "sqlite") {
			system, name = "sqlite", "send"
		}
		var statement *otlp.Span
		for _, sp := range tr.spans {
			if bytes.Equal(sp.GetParentSpanId(), unit.GetSpanId()) && strings.HasPrefix(sp.GetName(), name) {
				statement = sp
			}
		}
		if statement == nil || statement.GetKind() != otlp.Span_SPAN_KIND_CLIENT ||
			attr(statement, "db.system.name") != system {
			t.Fatalf("no statement %s in\n%s", name, describe(tr.spans))
		}
		for _, sp := range tr.spans {
			if sp.GetEndTimeUnixNano() < sp.GetStartTimeUnixNano() || sp != event &&
				sp.GetStartTimeUnixNano() < event.GetStartTimeUnixNano() {
				t.Errorf("a span with impossible times: %v", sp)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.resource["service.name"] != "chowk" || c.resource["service.version"] == "" ||
			c.resource["service.instance.id"] == "" {
			t.Errorf("the resource attributes are %v", c.resource)
		}
		if bytes.Contains(c.raw.Bytes(), []byte(content)) {
			t.Error("a span contains the message")
		}
	})
}

// TestRequestJoinsCallersTrace checks that the traceparent header decides, whatever
// the ratio is.
func TestRequestJoinsCallersTrace(t *testing.T) {
	c := collect(t)
	s := serve(t, "auth=none", "trace.endpoint="+c.URL, "trace.ratio=0")
	channel := s.channel("ada", "bob")
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	path := "/channels/" + channel + "/messages"
	post := func(content, flags string) {
		s.request(
			http.MethodPost, path, "ada", map[string]any{"content": content}, "Traceparent",
			"00-"+theirs+"-b7ad6b7169203331-"+flags, "Tracestate", "them=Statement-hUsh",
		)
	}
	post("not traced", "00")
	if _, _, err := s.tryDial(
		"/ws/ada", "ada", chat.Protocol, "Traceparent", "00-"+theirs+"-b7ad6b7169203332-01",
	); err != nil {
		t.Fatal(err)
	}
	post("traced", "01")
	fanOut := func(sp *otlp.Span) bool { return sp.GetName() == "hub fan-out" }
	route := "POST /api/v1/channels/{id}/messages"
	c.all("request", func(all []*otlp.Span) bool {
		return slices.ContainsFunc(all, fanOut) &&
			slices.ContainsFunc(all, func(sp *otlp.Span) bool { return sp.GetName() == route }) &&
			slices.ContainsFunc(all, func(sp *otlp.Span) bool { return sp.GetName() == "GET /api/v1/ws/{user_id}" })
	})
	tr := c.traceWith("fan-out", fanOut)
	requests := 0
	for _, sp := range tr.spans {
		switch {
		case hex.EncodeToString(sp.GetTraceId()) != theirs || sp.GetTraceState() != "":
			t.Errorf("a span outside the caller's trace: %v", sp)
		case sp.GetName() == route:
			requests++
			if hex.EncodeToString(sp.GetParentSpanId()) != "b7ad6b7169203331" ||
				attr(sp, "http.response.status_code") != "201" || attr(sp, "http.route") == "" {
				t.Errorf("the span of the request: %s", describe([]*otlp.Span{sp}))
			}
			tr.under(sp, "journal group")
		case sp.GetName() == "GET /api/v1/ws/{user_id}":
			if attr(sp, "http.response.status_code") != "101" || attr(sp, "chowk.connection.id") == "" {
				t.Errorf("the span of the handshake: %s", describe([]*otlp.Span{sp}))
			}
		}
	}
	if requests != 1 || len(tr.spans) != len(c.all("nothing", func([]*otlp.Span) bool { return true })) {
		t.Errorf("%d requests, want 1, in\n%s", requests, describe(tr.spans))
	}
}

// TestTracesContainNoSecrets sends secrets in valid and invalid requests.
func TestTracesContainNoSecrets(t *testing.T) {
	c := collect(t)
	s := serve(t, "auth=accounts", "trace.endpoint="+c.URL, "trace.ratio=1", "trusted-proxies=127.0.0.1")
	const password, mail, content = "Correct-hUsh-battery-7", "ada.hush@example.org", "Words-hUsh-of-a-message"
	s.must(http.StatusCreated, http.MethodPost, "/auth/signup", "", map[string]any{
		"email": mail, "password": password, "name": "Ada", "full_name": "Ada",
	})
	token := s.must(http.StatusOK, http.MethodPost, "/auth/login", "", map[string]any{
		"email": mail, "password": password,
	}).field(t, "access_token")
	id := s.must(http.StatusOK, http.MethodGet, "/auth/me", token, nil).field(t, "id")
	channel := s.must(
		http.StatusCreated, http.MethodPost, "/channels/", token, map[string]any{"name": content},
	).field(t, "id")
	a, _, err := s.tryDial("/ws/"+id, token, chat.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	a.send(channel, content)
	a.askInvalid("new_message", map[string]any{"channel_id": token, "content": content})
	a.askInvalid(token, map[string]any{"content": content})
	a.ask("new_message", map[string]any{"channel_id": chat.NewID().String(), "content": content})
	s.request(http.MethodGet, "/users/search?q="+content, token, nil)
	s.request(http.MethodGet, "/"+token, token, nil)
	s.request("HUSH"+strings.ToUpper(token[:8]), "/channels/", token, nil)
	for _, sub := range []string{"/ws?access_token=" + token, "/ws/" + content} {
		if conn, _, err := s.tryDial(sub, "", chat.Protocol); err == nil {
			_ = conn.conn.CloseNow()
		}
	}
	s.stop() // sends the remaining spans
	spans := c.all("spans", func(all []*otlp.Span) bool { return len(all) > 20 })
	c.mu.Lock()
	defer c.mu.Unlock()
	raw := strings.ToLower(c.raw.String())
	for _, secret := range []string{password, mail, content, token, token[:8], id, "battery", "hush"} {
		if strings.Contains(raw, strings.ToLower(secret)) {
			t.Errorf("a span contains %q:\n%s", secret, describe(spans))
		}
	}
}

// TestNothingIsTracedByDefault sends a request with a sampled traceparent.
func TestNothingIsTracedByDefault(t *testing.T) {
	s := serve(t, "auth=none")
	channel := s.channel("ada")
	s.request(
		http.MethodPost, "/channels/"+channel+"/messages", "ada", map[string]any{"content": "hello"}, "Traceparent",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	)
	s.dial("ada").send(channel, "hello")
	for _, result := range []string{"sent", "failed", "dropped"} {
		if n := s.metric(`chowk_trace_spans_total{result="` + result + `"}`); n != 0 {
			t.Errorf("%v spans were %s", n, result)
		}
	}
	if strings.Contains(s.Log.Text(), `"tracing"`) {
		t.Error("the log reports that tracing is on")
	}
}

// TestUnavailableCollector tries an address without a listener, and one that accepts
// connections but never replies: commands succeed, spans are dropped and counted, and
// the server stops in time.
func TestUnavailableCollector(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections that are never read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for _, c := range []struct{ name, address, result string }{
		{"dead", testkit.FreeAddress(t), "failed"},
		{"silent", silent.Addr().String(), "dropped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "auth=none", "trace.endpoint=http://"+c.address, "trace.ratio=1", "drain.window=0s",
				"drain.timeout=10s",
				"limits.commands-per-second=100000", "limits.commands-burst=100000", "limits.user-commands-per-second=400000",
				"limits.user-commands-burst=400000")
			channel := s.channel("ada")
			ada := s.dial("ada")
			for i := range 600 { // each has at least eight spans
				ada.send(channel, fmt.Sprint(i))
			}
			s.until("spans are "+c.result, func() bool { return s.metric(`chowk_trace_spans_total{result="`+c.result+`"}`) > 0 })
			s.stop() // must not wait for all batches: each may take ten seconds
			s.Log.Await(t, `"stopped"`, `"clean":true`)
		})
	}
}
