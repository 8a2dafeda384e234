package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/internal/testkit"
)

var binary string

func TestMain(m *testing.M) { os.Exit(testkit.Main(m, &binary)) }

// serve starts a real chowk and returns its URL and that of its metrics.
func serve(t *testing.T, settings ...string) (url, ops string) {
	t.Helper()
	args := []string{"serve", "--listen=127.0.0.1:0", "--ops.listen=127.0.0.1:0", "--log.format=json", "--drain.window=0s", "--data-dir=" + t.TempDir()}
	cmd := exec.Command(binary, append(args, settings...)...)
	cmd.Dir = t.TempDir()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan map[string]string, 1)
	var reading sync.WaitGroup
	reading.Go(func() { // ends when the server does
		urls := make(map[string]string)
		var said []string
		told := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said = append(said, lines.Text())
			var entry struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.URL != "" {
				urls[entry.Msg] = entry.URL
			}
			if len(urls) == 2 && !told {
				told = true
				found <- urls
			}
		}
		if !told {
			t.Errorf("the server did not start:\n%s", strings.Join(said, "\n"))
			close(found)
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = cmd.Wait()
	})
	urls := <-found
	if urls == nil {
		t.FailNow()
	}
	return strings.TrimSuffix(urls["listening"], "/messages"), urls["operations"]
}

// fake is a server that is let loose on the driver: script is run for each socket
// after its connection frame, with what it is sent.
func fake(t *testing.T, script func(say func(string), heard <-chan string)) string {
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
		say := func(text string) { _ = conn.Write(r.Context(), websocket.MessageText, []byte(text)) }
		say(`{"type":"connection","status":"connected","epoch":"e","channels":[{"id":"` + fakeChannel + `","last_seq":1}]}`)
		heard := make(chan string)
		sockets.Go(func() { // ends when the socket does
			defer close(heard)
			for {
				_, b, err := conn.Read(t.Context())
				if err != nil {
					return
				}
				heard <- string(b)
			}
		})
		script(say, heard)
		for range heard { // what comes when the script is over is of no interest
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
	return fmt.Sprintf(`{"type":"message","channel_id":"%s","seq":%d,"data":{"content":"%s%d:"}}`, fakeChannel, seq, marker, time.Now().UnixNano())
}
