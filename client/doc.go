// Package client talks to a chowk server: one user, one socket, kept open.
//
// A [Client] reconnects by itself, with exponential backoff and full jitter, and
// takes up every channel where it was: what [Client.Next] returns of a channel is
// each entry of its log once and in order, however often the connection broke in
// between. A send that was not answered is sent again under the same client_id
// until it is acknowledged or refused, so it never makes two messages.
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
//			fmt.Println(ev.UserID, ev.Message.Content)
//		}
//	}
//
// Next may be called from the goroutine that also sends: a consumer that is slow,
// or busy with a send of its own, holds the server back and loses nothing.
//
// When the server cannot go on from where the client was - its database was
// restored from a backup, or a channel was joined while the client was away -
// the client is told so by an event of type [Resync], which names the channel that
// is to be loaded again with [Client.History].
package client
