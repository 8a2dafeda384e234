// Package web is the page /messages, built from web/src and embedded.
package web

import "net/http"

// Handler serves the page and its assets.
func Handler() http.Handler {
	return http.NotFoundHandler()
}
