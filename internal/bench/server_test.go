package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// serve starts a real chowk and returns its URL and that of its metrics.
func serve(t *testing.T, settings ...string) (url, ops string) {
	t.Helper()
	s, err := testkit.StartServer(testkit.Options{
		Binary: testkit.Binary(t), Dir: t.TempDir(), Settings: append([]string{"drain.window=0s"}, settings...),
	})
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, s.Ops
}

// fake is a server for the load: script is called for each socket after its connection
// frame, with the commands that it receives.
func fake(t *testing.T, script func(send func(string), commands <-chan string)) string {
	t.Helper()
	var sockets sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/v1/ws/") {
			_, _ = w.Write([]byte(`{"id":"` + fakeChannel + `"}`))
			return
		}
		sockets.Add(1)
		defer sockets.Done()
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chowk.v1"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		send := func(text string) { _ = conn.Write(r.Context(), websocket.MessageText, []byte(text)) }
		send(`{"type":"connection","status":"connected","epoch":"e","channels":[{"id":"` + fakeChannel + `","last_seq":1}]}`)
		commands := make(chan string)
		sockets.Go(func() { // ends when the socket does
			defer close(commands)
			for {
				_, b, err := conn.Read(t.Context())
				if err != nil {
					return
				}
				commands <- string(b)
			}
		})
		script(send, commands)
		for range commands { // commands after the end of the script
		}
	}))
	t.Cleanup(func() {
		s.Close()
		sockets.Wait()
	})
	return s.URL
}

const fakeChannel = "01890000-0000-7000-8000-000000000001"

func message(seq int) string {
	return fmt.Sprintf(`{"type":"message","channel_id":"%s","seq":%d,"data":{"content":"%s%d:"}}`, fakeChannel, seq,
		marker, time.Now().UnixNano())
}
