package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/client"
)

// exampleServer starts a server on which each token is a user's id, and two users who
// share a channel.
func exampleServer() (ada, bob *client.Client, channel chat.ID, end func()) {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "chowk-example-")
	must(err)
	s, err := startServer(dir)
	must(err)
	dialAs := func(user string) *client.Client {
		c, err := client.Dial(ctx, client.Options{URL: s.url, Token: client.StaticToken(user)})
		must(err)
		_, err = c.Channels(ctx)
		must(err)
		return c
	}
	ada, bob = dialAs("ada"), dialAs("bob")
	ch, err := ada.CreateChannel(ctx, chat.CreateChannelRequest{Name: "Engine room", MemberIDs: []chat.UserID{"bob"}})
	must(err)
	return ada, bob, ch.ID, func() {
		_, _ = ada.Close(), bob.Close()
		s.Kill()
		_ = os.RemoveAll(dir)
	}
}

// The events of all channels come through one loop.
func ExampleClient_Next() {
	ada, bob, channel, end := exampleServer()
	defer end()
	ctx := context.Background()

	if _, err := ada.Send(ctx, client.Message{ChannelID: channel, Content: "Steam is up"}); err != nil {
		fmt.Println(err)
	}
	for {
		ev, err := bob.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		switch ev.Type {
		case chat.EventChannelJoined:
			fmt.Println("joined", ev.Channel.Name)
		case client.Resync:
			// What is known of ev.ChannelID up to ev.Seq is to be loaded with
			// History; the events after it follow here.
		case chat.EventMessage:
			fmt.Printf("%s at %d: %s\n", ev.Message.UserID, ev.Seq, ev.Message.Content)
			return
		}
	}
	// Output:
	// joined Engine room
	// ada at 2: Steam is up
}

// A send that is given up may have been stored. Sending again with the same
// ClientID finds out, and never makes a second message.
func ExampleClient_Send() {
	ada, _, channel, end := exampleServer()
	defer end()

	m := client.Message{ChannelID: channel, Content: "Full ahead", ClientID: chat.NewID().String()}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		sent, err := ada.Send(ctx, m)
		cancel()
		var unknown *client.UnknownError
		if errors.As(err, &unknown) {
			continue // a program that ends here keeps unknown.ClientID for its next start
		}
		if err != nil {
			fmt.Println("not stored:", err)
			return
		}
		fmt.Println("stored at", sent.Seq)
		return
	}
	// Output:
	// stored at 2
}

// A program that starts again goes on where it was.
func ExampleClient_Cursors() {
	ada, bob, channel, end := exampleServer()
	defer end()
	ctx := context.Background()

	if _, err := bob.Next(ctx); err != nil { // the channel's first entry
		fmt.Println(err)
	}
	where := bob.Cursors() // to be kept: it marshals to JSON
	_ = bob.Close()

	for _, text := range []string{"One", "Two"} {
		if _, err := ada.Send(ctx, client.Message{ChannelID: channel, Content: text}); err != nil {
			fmt.Println(err)
		}
	}
	bob, err := client.Dial(ctx, client.Options{URL: ada.URL(), Token: client.StaticToken("bob"), Resume: &where})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Close()
	for range 2 {
		ev, err := bob.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(ev.Seq, ev.Message.Content)
	}
	// Output:
	// 2 One
	// 3 Two
}
