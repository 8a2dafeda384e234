package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
)

// Page selects the messages that History returns. Set at most one of Before and After;
// with neither, it returns the newest.
type Page struct {
	Before chat.ID  // only messages before this one
	After  chat.Seq // the first messages after this seq
	Parent chat.ID  // only replies to this message
	Limit  int      // at most 100; 50 by default
}

// History returns messages, newest first, as they are now: edited ones with their new
// content, without deleted ones.
func (c *Client) History(ctx context.Context, channel chat.ID, p Page) ([]chat.Message, error) {
	q := make(url.Values)
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if !p.Before.IsZero() {
		q.Set("before_id", p.Before.String())
	}
	if p.After > 0 {
		q.Set("after_seq", strconv.FormatInt(p.After, 10))
	}
	if !p.Parent.IsZero() {
		q.Set("parent_id", p.Parent.String())
	}
	var page []chat.Message
	err := c.call(ctx, http.MethodGet, "/channels/"+channel.String()+"/messages?"+q.Encode(), nil, &page)
	return page, err
}

// Channels returns the user's channels, newest activity first.
func (c *Client) Channels(ctx context.Context) ([]chat.Channel, error) {
	var all []chat.Channel
	err := c.call(ctx, http.MethodGet, "/channels/", nil, &all)
	return all, err
}

// CreateChannel creates a channel that the user owns.
func (c *Client) CreateChannel(ctx context.Context, r chat.CreateChannelRequest) (*chat.Channel, error) {
	ch := new(chat.Channel)
	err := c.call(ctx, http.MethodPost, "/channels/", r, ch)
	return ch, err
}

// DirectChannel returns the direct channel with another user, and creates it if there
// is none.
func (c *Client) DirectChannel(ctx context.Context, other chat.UserID) (*chat.Channel, error) {
	ch := new(chat.Channel)
	err := c.call(ctx, http.MethodPost, "/channels/direct", map[string]chat.UserID{"user_id": other}, ch)
	return ch, err
}

// AddMembers adds users to a channel. Users can join a public channel by adding
// themselves.
func (c *Client) AddMembers(ctx context.Context, channel chat.ID, users ...chat.UserID) error {
	return c.call(
		ctx, http.MethodPost, "/channels/"+channel.String()+"/members", chat.AddMembersRequest{UserIDs: users}, nil,
	)
}

// RemoveMember ends a membership: the user's own or, for owners and admins, another
// user's. Once it returns nil, nothing that happens in the channel reaches that user.
func (c *Client) RemoveMember(ctx context.Context, channel chat.ID, user chat.UserID) error {
	return c.call(ctx, http.MethodDelete, "/channels/"+channel.String()+"/members/"+url.PathEscape(string(user)), nil, nil)
}

// maxBody limits what the client reads of a response, in bytes.
const maxBody = 64 << 20

// readTimeout limits one attempt of a GET: a pooled connection may be half-open.
const readTimeout = 10 * time.Second

// call calls the REST API. It repeats a GET if the server is busy or the connection
// fails, but not a call that changes something, because the change may have happened.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	if method != http.MethodGet {
		return c.callOnce(ctx, method, path, body, into)
	}
	for attempt := 0; ; attempt++ {
		once, cancel := context.WithTimeout(ctx, readTimeout)
		err := c.callOnce(once, method, path, body, into)
		cancel()
		refused := asRefusal(err)
		if err == nil || ctx.Err() != nil || refused != nil && !isTemporary(refused.Code) {
			return err
		}
		if refused == nil {
			refused = &chat.Error{} // no response
		}
		if c.pauseBefore(ctx, attempt, refused) != nil {
			return err
		}
	}
}

func (c *Client) callOnce(ctx context.Context, method, path string, body, into any) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.options.URL+"/api/v1"+path, payload)
	if err != nil {
		return fmt.Errorf("create the request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.options.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return problemOf(resp)
	}
	if into == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", method, err)
	}
	return nil
}

// problemOf returns the error of a response (RFC 9457). For the response of a proxy, it
// returns an error with the status.
func problemOf(resp *http.Response) *chat.Error {
	var p struct {
		Detail string    `json:"detail"`
		Code   chat.Code `json:"code"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	e := &chat.Error{Code: p.Code, Message: p.Detail, RetryAfter: min(retryAfter(resp.Header), time.Minute)}
	if err == nil && p.Code != "" {
		return e
	}
	e.Message = "The server responded with " + resp.Status
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		e.Code = chat.Unauthorized
	case resp.StatusCode == http.StatusForbidden:
		e.Code = chat.Forbidden
	case resp.StatusCode == http.StatusNotFound:
		e.Code = chat.NotFound
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Code = chat.RateLimited
	case resp.StatusCode/100 == 5:
		e.Code = chat.Unavailable
	default:
		e.Code = chat.BadRequest
	}
	return e
}
