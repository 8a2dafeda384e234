package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// ErrClosed is what a closed client answers.
var ErrClosed = errors.New("client: closed")

// errLost ends requests whose connection ended before their answer came.
var errLost = errors.New("the connection was lost")

// UnknownError says that a request may or may not have been carried out: it was
// handed to a connection, and no final answer came. A message can be sent again
// with the same ClientID, now or after a restart: it will not be stored twice.
type UnknownError struct {
	ClientID string // of a send, "" for other requests
	Err      error  // why no more attempts were made
}

func (e *UnknownError) Error() string {
	if e.ClientID == "" {
		return fmt.Sprintf("it is not known whether this was done: %v", e.Err)
	}
	return fmt.Sprintf("it is not known whether message %s was stored: %v", e.ClientID, e.Err)
}

// Unwrap gives the reason: a context's error, ErrClosed, or a *chat.Error.
func (e *UnknownError) Unwrap() error { return e.Err }

// passes says whether the refusal is of a kind that passes: the same request may
// succeed later.
func passes(code chat.Code) bool {
	switch code {
	case chat.RateLimited, chat.Overloaded, chat.Unavailable, chat.Internal:
		return true
	}
	return false
}

// handshakeError is an attempt to connect that the server refused.
type handshakeError struct {
	refusal    *chat.Error
	status     int
	retryAfter time.Duration
}

func (e *handshakeError) Error() string { return "connect: " + e.refusal.Message }

func (e *handshakeError) Unwrap() error { return e.refusal }
