package chat

import (
	"errors"
	"net/http"
	"time"
)

// Code is the machine's name for an error. Codes are a closed set and are never
// renamed.
type Code string

// The codes, as section 4 of the protocol lists them.
const (
	BadJSON      Code = "bad_json"
	UnknownEvent Code = "unknown_event"
	BadRequest   Code = "bad_request"
	Unauthorized Code = "unauthorized"
	Forbidden    Code = "forbidden"
	NotFound     Code = "not_found"
	Conflict     Code = "conflict"
	TooLarge     Code = "too_large"
	RateLimited  Code = "rate_limited"
	Overloaded   Code = "overloaded"
	Unavailable  Code = "unavailable"
	Resync       Code = "resync"
	Internal     Code = "internal"
)

// statuses gives each code the HTTP status beside it.
var statuses = map[Code]int{
	BadJSON:      http.StatusBadRequest,
	UnknownEvent: http.StatusBadRequest,
	BadRequest:   http.StatusUnprocessableEntity,
	Unauthorized: http.StatusUnauthorized,
	Forbidden:    http.StatusForbidden,
	NotFound:     http.StatusNotFound,
	Conflict:     http.StatusConflict,
	TooLarge:     http.StatusRequestEntityTooLarge,
	RateLimited:  http.StatusTooManyRequests,
	Overloaded:   http.StatusServiceUnavailable,
	Unavailable:  http.StatusServiceUnavailable,
	Resync:       http.StatusGone,
	Internal:     http.StatusInternalServerError,
}

// Codes lists every code.
func Codes() []Code {
	all := make([]Code, 0, len(statuses))
	for c := range statuses {
		all = append(all, c)
	}
	return all
}

// HTTPStatus is the status with which REST answers this code.
func (c Code) HTTPStatus() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Error is an error meant for the user: what was wrong and what to do. Its
// message never holds a driver's text.
type Error struct {
	Code    Code
	Message string
	// Field names the request's field that is wrong, "" when none is.
	Field string
	// RetryAfter says when trying again makes sense; 0 says nothing.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error without a field.
func Errorf(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Invalid is a bad_request about one field.
func Invalid(field, message string) *Error {
	return &Error{Code: BadRequest, Field: field, Message: message}
}

// ErrOutcomeUnknown is for a change of which it is not known whether it was stored:
// the database, or the way to it, broke between the commit and its answer. An
// error without it, of whatever code, means that nothing was stored.
var ErrOutcomeUnknown = &Error{
	Code: Unavailable, RetryAfter: time.Second,
	Message: "The database did not answer, so it is not known whether this was stored. Send it again with the same client_id.",
}

// AsError finds the Error that err carries for its user. Any other error is
// Internal, with a text that gives nothing away.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Internal, Message: "Something went wrong on the server. Try again; if it goes on, give the request's id to whoever runs it.", RetryAfter: time.Second}
}

// The texts that clients of the old protocol know by heart.
const (
	TextBadJSON        = "Invalid JSON format"
	TextUnknownEvent   = "Unknown event type: "
	TextAccessDenied   = "Access denied to channel"
	TextMissingContent = "Missing channel_id or content"
	TextMissingChannel = "Missing channel_id"
	TextMissingMessage = "Missing channel_id or message_id"
	TextMissingFields  = "Missing required fields"
)

// ErrAccessDenied refuses a user who is not a member of the channel, or a channel
// that does not exist: the two are not told apart.
var ErrAccessDenied = &Error{Code: Forbidden, Message: TextAccessDenied}
