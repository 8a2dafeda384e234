package chowk_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/chowk-chat/chowk"
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// A Go program serves chowk next to its own pages.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "chowk-example-")
	check(err)
	defer os.RemoveAll(dir)

	server, err := chowk.Open(ctx, chowk.Config{
		DatabaseURL: "sqlite:" + filepath.Join(dir, "chat.db"),
		Auth:        chowk.AuthConfig{Mode: "none"}, // a token is a user id: for examples only
		Logger:      slog.New(slog.DiscardHandler),
	})
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Hello") })
	mux.Handle("/", server.Handler())
	host := httptest.NewServer(mux)

	ada, err := client.Dial(ctx, client.Options{URL: host.URL, Token: client.StaticToken("ada")})
	check(err)
	channel, err := ada.CreateChannel(ctx, chat.CreateChannelRequest{Name: "Engine room"})
	check(err)
	_, err = ada.Send(ctx, client.Message{ChannelID: channel.ID, Content: "Steam is up"})
	check(err)
	history, err := ada.History(ctx, channel.ID, client.Page{})
	check(err)
	fmt.Println(history[0].UserID, "wrote:", history[0].Content)

	check(ada.Close())
	host.Close()             // ends the HTTP server, and none of the sockets
	check(server.Close(ctx)) // ends the sockets, and commits what was accepted
	// Output: ada wrote: Steam is up
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
