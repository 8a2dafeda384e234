package chat

// The codes with which a server closes a socket, except those that RFC 6455 defines for
// a peer that breaks the protocol. 4000 to 4999 are for applications (section 7.4.2).
const (
	CloseRestart       uint16 = 1012
	CloseTryAgainLater uint16 = 1013
	CloseTokenExpired  uint16 = 4001
	CloseUserDisabled  uint16 = 4003
	CloseAbuse         uint16 = 4008
)

// CloseSpec is a line of the table of close codes.
type CloseSpec struct {
	Name string // in TypeScript
	Code uint16
	Doc  string
}

var closes = []CloseSpec{
	{"protocol_error", 1002, "a frame broke RFC 6455"},
	{"unsupported", 1003, "a frame was binary"},
	{"invalid_text", 1007, "a frame was not UTF-8"},
	{"too_large", 1009, "a frame was too large"},
	{"restart", CloseRestart, "the server is restarting: reconnect"},
	{"try_again_later", CloseTryAgainLater, "the server holds too many partly received messages: reconnect"},
	{"token_expired", CloseTokenExpired, "the token expired or the session ended: get a new token first"},
	{"user_disabled", CloseUserDisabled, "the user was disabled: do not reconnect"},
	{
		"abuse", CloseAbuse, "too many errors or pings: the client is faulty, and its user gets no new socket for ten " +
			"seconds (429 with `Retry-After`); or a message took too long to arrive",
	},
}

// Closes returns the table of close codes.
func Closes() []CloseSpec { return closes }
