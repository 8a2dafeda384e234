package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// ErrClosed is returned by the methods of a closed client.
var ErrClosed = errors.New("client: closed")

// errLost ends requests whose connection ended before the answer arrived.
var errLost = errors.New("the connection was lost")

// UnknownError reports that a request may or may not have been executed: it was sent,
// and no final answer arrived. You can send a message again with the same ClientID,
// now or after a restart: it is not stored twice.
type UnknownError struct {
	ClientID string // the client_id of a send, "" for other requests
	Err      error  // why the client stopped trying
}

func (e *UnknownError) Error() string {
	if e.ClientID == "" {
		return fmt.Sprintf("the outcome is unknown: %v", e.Err)
	}
	return fmt.Sprintf("it is unknown whether message %s was stored: %v", e.ClientID, e.Err)
}

// Unwrap returns the reason: a context's error, ErrClosed, or a *chat.Error.
func (e *UnknownError) Unwrap() error { return e.Err }

// isTemporary reports whether the same request may succeed later.
func isTemporary(code chat.Code) bool {
	switch code {
	case chat.RateLimited, chat.Overloaded, chat.Unavailable, chat.Internal:
		return true
	}
	return false
}

// handshakeError is a handshake that the server refused.
type handshakeError struct {
	refusal    *chat.Error
	status     int
	retryAfter time.Duration
}

func (e *handshakeError) Error() string { return "connect: " + e.refusal.Message }

func (e *handshakeError) Unwrap() error { return e.refusal }
