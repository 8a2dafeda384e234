// Package client talks to a chowk server: one user, one socket, kept open.
//
// A [Client] reconnects by itself, with exponential backoff and full jitter, and
// resumes every channel: [Client.Next] returns each entry of a channel's log once and
// in order, however often the connection breaks. The client repeats a send without an
// answer under the same client_id until it is acknowledged or refused, so a message is
// never stored twice.
//
//	c, err := client.Dial(ctx, client.Options{
//		URL:   "https://chat.example.org",
//		Token: client.StaticToken(token),
//	})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	for {
//		ev, err := c.Next(ctx)
//		if err != nil {
//			return err
//		}
//		if ev.Type == chat.EventMessage {
//			fmt.Println(ev.Message.UserID, ev.Message.Content)
//		}
//	}
//
// Next may be called from the goroutine that also sends: a consumer that is slow, or
// busy with a send, makes the server wait, and loses nothing.
//
// If the server cannot continue from the client's position - because its database was
// restored from a backup, or because the user joined a channel while the client was
// away - the client receives an event of type [Resync]. It names the channel, which
// the application must load again with [Client.History].
package client
