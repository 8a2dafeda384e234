package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// Bounds of requests to the REST API.
const (
	restTimeout  = 15 * time.Second
	restAtOnce   = 16
	restTries    = 6
	maxAnswer    = 1 << 20
	shortestWait = 50 * time.Millisecond
)

// setUp creates the channels that a plan needs, and their members, over REST. It
// returns a description of what it created.
func (p *Plan) setUp(ctx context.Context) (made string, err error) {
	need := p.channelCount()
	if len(p.Channels) > 0 {
		if len(p.Channels) < need {
			return "", fmt.Errorf("%d sockets in channels of %d need %d channels, but %d were given", p.Sockets, p.ChannelSize,
				need, len(p.Channels))
		}
		return fmt.Sprintf("uses %d existing channels", need), nil
	}
	client := &http.Client{Timeout: restTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: restAtOnce}}
	defer client.CloseIdleConnections()
	users := p.Sockets
	if n := len(p.Identity.Tokens); n > 0 {
		users = min(users, n)
	}
	// A user is created by their first request.
	err = inParallel(ctx, users, func(ctx context.Context, i int) error {
		return p.rest(ctx, client, i, http.MethodGet, "/channels/", nil, nil)
	})
	if err != nil {
		return "", fmt.Errorf("create the users: %w", err)
	}
	p.Channels = make([]chat.ID, need)
	err = inParallel(ctx, need, func(ctx context.Context, c int) error { return p.makeChannel(ctx, client, c) })
	if err != nil {
		return "", fmt.Errorf("create the channels: %w", err)
	}
	if len(p.Identity.Tokens) > 0 {
		return fmt.Sprintf("created %d channels, named \"bench %s\" and a number", need, p.Run), nil
	}
	return fmt.Sprintf("created %d users (from bench-%s-0 on) and %d channels (from \"bench %[2]s 0\" on)", users, p.Run,
		need), nil
}

// makeChannel creates the channel of the sockets from number c*ChannelSize on; the
// first one's user owns it.
func (p *Plan) makeChannel(ctx context.Context, client *http.Client, c int) error {
	owner := c * p.ChannelSize
	var members []chat.UserID
	seen := map[chat.UserID]bool{p.user(owner): true}
	for i := owner + 1; i < min(owner+p.ChannelSize, p.Sockets); i++ {
		if u := p.user(i); !seen[u] {
			seen[u] = true
			members = append(members, u)
		}
	}
	first := members[:min(len(members), chat.MaxAddMembers)]
	var made chat.Channel
	body := map[string]any{
		"name": fmt.Sprintf("bench %s %d", p.Run, c), "is_private": true,
		"member_ids": append([]chat.UserID{}, first...),
	}
	if err := p.rest(ctx, client, owner, http.MethodPost, "/channels/", body, &made); err != nil {
		return err
	}
	p.Channels[c] = made.ID
	for rest := members[len(first):]; len(rest) > 0; {
		n := min(len(rest), chat.MaxAddMembers)
		err := p.rest(ctx, client, owner, http.MethodPost, "/channels/"+made.ID.String()+"/members",
			map[string]any{"user_ids": rest[:n]}, nil)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// tidyUp archives the created channels, and returns what failed.
func (p *Plan) tidyUp(ctx context.Context) error {
	client := &http.Client{Timeout: restTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: restAtOnce}}
	defer client.CloseIdleConnections()
	err := inParallel(ctx, len(p.Channels), func(ctx context.Context, c int) error {
		return p.rest(ctx, client, c*p.ChannelSize, http.MethodPatch, "/channels/"+p.Channels[c].String(),
			map[string]any{"is_archived": true}, nil)
	})
	if err != nil {
		return fmt.Errorf("archive the created channels: %w", err)
	}
	return nil
}

// inParallel calls f with 0 to n-1, several at once, until one fails.
func inParallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	next := 0
	for range min(n, restAtOnce) {
		g.Go(func() error { // ends when all are done, or one fails
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// rest calls the REST API as the ith socket's user. It tries again when the server is
// busy.
func (p *Plan) rest(ctx context.Context, client *http.Client, i int, method, path string, body, into any) error {
	for try := 1; ; try++ {
		status, b, err := p.restOnce(ctx, client, i, method, path, body)
		busy := err != nil || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
		switch {
		case busy && ctx.Err() == nil && try < restTries:
			async.Sleep(ctx, shortestWait<<try)
			continue
		case err != nil:
			return err
		case status >= 300:
			return fmt.Errorf("the server answered %s %s with %d: %s", method, path, status, detail(b))
		case into == nil:
			return nil
		}
		if err := json.Unmarshal(b, into); err != nil {
			return fmt.Errorf("parse the answer to %s %s: %w", method, path, err)
		}
		return nil
	}
}

func (p *Plan) restOnce(ctx context.Context, client *http.Client, i int, method, path string, body any) (int, []byte,
	error,
) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.URL+"/api/v1"+path, payload)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	token, err := p.token(i)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+or(token, string(p.user(i))))
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, b, errors.Join(err, resp.Body.Close())
}

// detail returns the text of an error response.
func detail(b []byte) string {
	var e struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(b, &e) == nil && e.Detail != "" {
		return e.Detail
	}
	return string(b[:min(len(b), 200)])
}
