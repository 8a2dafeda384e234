package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	wsframe "github.com/chowk-chat/chowk/internal/frame"
)

// rawClient is a client that reads only when a test calls seqs.
type rawClient struct {
	conn   net.Conn
	reader *bufio.Reader
}

// dialRaw opens a socket and reads only the response to the handshake.
func dialRaw(t *testing.T, s *server, user string) *rawClient {
	t.Helper()
	dialer := net.Dialer{Timeout: waitTimeout}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn,
		"GET /api/v1/ws/%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: "+
			"websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chowk.v1\r\nAuthorization: "+
			"Bearer %s\r\n\r\n", user, strings.TrimPrefix(s.url, "http://"), user)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	// The example of RFC 6455, section 1.3.
	if got := resp.Header.Get("Sec-Websocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("Sec-WebSocket-Accept is %q", got)
	}
	_ = resp.Body.Close()
	return &rawClient{conn, r}
}

// seqs reads until n messages have arrived and returns their seqs.
func (c *rawClient) seqs(t *testing.T, n int) []int64 {
	t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(2 * waitTimeout)); err != nil {
		t.Fatal(err)
	}
	p := wsframe.Parser{Limits: &wsframe.Limits{Frame: 1 << 20, Message: 1 << 20, Fragments: 1, Client: true}}
	var seqs []int64
	buffer := make([]byte, 64<<10)
	for len(seqs) < n {
		read, err := c.reader.Read(buffer)
		if err != nil {
			t.Fatalf("after %d messages: %v", len(seqs), err)
		}
		for b := buffer[:read]; len(b) > 0; {
			used, m, err := p.Next(b)
			if err != nil {
				t.Fatal(err)
			}
			b = b[used:]
			var f frame
			if m.Opcode == wsframe.OpText && json.Unmarshal(m.Payload, &f) == nil && f.Type == "message" {
				seqs = append(seqs, f.Seq)
			}
		}
	}
	return seqs
}
