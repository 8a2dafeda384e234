package chat

import (
	"errors"
	"net/http"
	"time"
)

// Code identifies an error to programs. The set of codes is closed, and codes are never
// renamed.
type Code string

// The codes. The line of each in the table below describes it.
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

// CodeSpec is a line of the table of codes.
type CodeSpec struct {
	Code   Code
	Status int // with which REST answers
	Doc    string
}

var codes = []CodeSpec{
	{BadJSON, http.StatusBadRequest, "not a JSON object, or one that is ambiguous"},
	{UnknownEvent, http.StatusBadRequest, "there is no command of this `type`"},
	{BadRequest, http.StatusUnprocessableEntity, "a field is wrong; `field` names it"},
	{Unauthorized, http.StatusUnauthorized, "no token, or one that is not valid"},
	{Forbidden, http.StatusForbidden, "not allowed. A channel that does not exist gets the same answer as one " +
		"that you are not a member of"},
	{NotFound, http.StatusNotFound, "there is no such message or user in this channel"},
	{Conflict, http.StatusConflict, "not possible in the current state: the channel is archived, the `client_id` " +
		"belongs to another message, the last owner cannot leave"},
	{TooLarge, http.StatusRequestEntityTooLarge, "longer than allowed"},
	{RateLimited, http.StatusTooManyRequests, "you are sending too fast; retry after `retry_after_ms`"},
	{Overloaded, http.StatusServiceUnavailable, "the server is busy and nothing was done; retry after `retry_after_ms`"},
	{Unavailable, http.StatusServiceUnavailable, "the database cannot be reached or did not answer in time: send again " +
		"with the same `client_id`"},
	{Resync, http.StatusGone, "see [sequence numbers and resuming](#sequence-numbers-and-resuming)"},
	{Internal, http.StatusInternalServerError, "a fault in the server; its log has it under the `id`"},
}

// Codes returns the table of codes.
func Codes() []CodeSpec { return codes }

func codeNames() []Code {
	names := make([]Code, len(codes))
	for i, c := range codes {
		names[i] = c.Code
	}
	return names
}

// HTTPStatus returns the status with which REST answers this code.
func (c Code) HTTPStatus() int {
	for _, spec := range codes {
		if spec.Code == c {
			return spec.Status
		}
	}
	return http.StatusInternalServerError
}

// Error is an error for the user: what was wrong and what to do. Its message never
// contains a driver's text.
type Error struct {
	Code    Code
	Message string
	// Field names the field of the request that is wrong, "" if none is.
	Field string
	// RetryAfter is how long to wait before trying again, 0 if there is no advice.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an Error without a field.
func Errorf(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Invalid returns a bad_request about one field.
func Invalid(field, message string) *Error {
	return &Error{Code: BadRequest, Field: field, Message: message}
}

// ErrOutcomeUnknown is for a change that may or may not have been stored: the
// database, or the connection to it, broke between the commit and its answer. Any
// other error, whatever its code, means that nothing was stored.
var ErrOutcomeUnknown = &Error{
	Code: Unavailable, RetryAfter: time.Second,
	Message: "The database did not answer, so this may or may not have been stored. " +
		"Send it again with the same client_id.",
}

// AsError returns the Error that err carries for its user. Any other error becomes
// Internal, with a text that reveals nothing.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{
		Code: Internal, RetryAfter: time.Second,
		Message: "Something went wrong on the server. Try again. If it happens again, " +
			"send the request's id to the administrator.",
	}
}

// The texts that clients of the old system compare with.
const (
	TextBadJSON        = "Invalid JSON format"
	TextUnknownEvent   = "Unknown event type: "
	TextAccessDenied   = "Access denied to channel"
	TextMissingContent = "Missing channel_id or content"
	TextMissingChannel = "Missing channel_id"
	TextMissingMessage = "Missing channel_id or message_id"
	TextMissingFields  = "Missing required fields"
)

// ErrAccessDenied refuses a user who is not a member of the channel, and a channel that
// does not exist, so that the two cannot be told apart.
var ErrAccessDenied = &Error{Code: Forbidden, Message: TextAccessDenied}
