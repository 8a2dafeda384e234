package client_test

import (
	"errors"

	"github.com/chowk-chat/chowk/chat"
)

func refusal(err error) *chat.Error {
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
