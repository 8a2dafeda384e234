package command

import (
	"net/url"

	"github.com/chowk-chat/chowk/chat"
)

// checkFileURL takes only links that a page can show without running them.
func checkFileURL(s *string) error {
	if s == nil {
		return nil
	}
	u, err := url.Parse(*s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "") {
		return chat.Invalid("file_url", "file_url must be an http or https address, or a path")
	}
	return nil
}
