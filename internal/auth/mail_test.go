package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

func TestVerifyingAnEmail(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	user := o.join(t, "ada@example.org").User.ID
	links := o.post(t)
	if len(links) != 1 || !strings.HasPrefix(links[0], "https://chat.example.org/#verify=") {
		t.Fatalf("links %q", links)
	}
	_, err := o.VerifyEmail(t.Context(), VerifyEmailRequest{"made-up"}, home)
	wantCode(t, err, chat.BadRequest)
	// A ticket is good for one thing only.
	_, err = o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{secretOf(links[0]), "Better22"}, home)
	wantCode(t, err, chat.BadRequest)
	must(o.VerifyEmail(t.Context(), VerifyEmailRequest{secretOf(links[0])}, home))
	if !o.d.store.accounts[user].IsVerified {
		t.Error("not verified")
	}
	_, err = o.VerifyEmail(t.Context(), VerifyEmailRequest{secretOf(links[0])}, home)
	wantCode(t, err, chat.BadRequest) // once
}

func TestResettingAPassword(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	session := o.join(t, "ada@example.org").AccessToken
	o.identity(t, session)
	o.post(t)
	known := must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"ADA@example.org"}, home))
	unknown := must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"nobody@example.org"}, home))
	if *known != *unknown {
		t.Errorf("%+v, %+v", known, unknown)
	}
	if n := o.d.store.count("AccountByEmail"); n != 0 {
		t.Error("the answer waited for the look-up, so its time tells")
	}
	links := o.post(t)
	if len(links) != 1 || !strings.HasPrefix(links[0], "https://chat.example.org/#reset=") {
		t.Fatalf("links %q", links)
	}
	secret := secretOf(links[0])
	_, err := o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{secret, "weak"}, home)
	wantCode(t, err, chat.BadRequest) // and the ticket is not lost
	must(o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{secret, "Better22"}, home))
	_, err = o.d.Authenticate(t.Context(), session)
	wantCode(t, err, chat.Unauthorized)
	must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Better22"}, home))
	_, err = o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{secret, "Better33"}, home)
	wantCode(t, err, chat.BadRequest)

	must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"ada@example.org"}, home))
	late := o.post(t)
	o.d.clock.advance(resetTTL)
	_, err = o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{secretOf(late[0]), "Better33"}, home)
	wantCode(t, err, chat.BadRequest)
}

func TestATicketSurvivesABusyServer(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	o.join(t, "ada@example.org")
	link := must(o.CreateResetLink(t.Context(), "ada@example.org"))
	o.hasher.wait = 0
	var turns []func()
	for range cap(o.hasher.slots) {
		turns = append(turns, must(o.hasher.acquire(t.Context())))
	}
	_, err := o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{link.Token, "Better22"}, home)
	wantCode(t, err, chat.Overloaded)
	for _, turn := range turns {
		turn()
	}
	must(o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{link.Token, "Better22"}, home))
}

func TestGuessingTicketsIsSlowed(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	var err error
	for range 25 {
		_, err = o.VerifyEmail(t.Context(), VerifyEmailRequest{"guess"}, home)
	}
	wantCode(t, err, chat.RateLimited)
	asked := o.d.store.count("SpendTicket")
	_, _ = o.VerifyEmail(t.Context(), VerifyEmailRequest{"guess"}, home)
	if o.d.store.count("SpendTicket") != asked {
		t.Error("the store was asked")
	}
}

func TestNobodyIsBuriedInMail(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	o.join(t, "ada@example.org")
	o.post(t)
	for i := range 50 {
		from := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
		must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"Ada@example.org"}, from))
	}
	if n := len(o.post(t)); n > 3 {
		t.Errorf("%d mails", n)
	}
}

func TestWhomTheHostVouchesForGetsNoPasswordHere(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	o.d.store.accounts["host"] = model.Account{User: chat.User{ID: "host", Email: ptr("host@example.org"), IsActive: true}}
	must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"host@example.org"}, home))
	if links := o.post(t); len(links) != 0 {
		t.Errorf("links %q", links)
	}
	_, err := o.CreateResetLink(t.Context(), "host@example.org")
	wantCode(t, err, chat.Conflict)
}

func TestTooManyMailsAreDroppedNotKept(t *testing.T) {
	o := newOffice(t, SignupOpen, true)
	for i := range 3 * maxMailJobs {
		o.enqueue(mailJob{kind: model.TicketResetPassword, email: fmt.Sprintf("u%d@example.org", i)})
	}
	if n := len(o.queue); n != maxMailJobs {
		t.Errorf("%d wait", n)
	}
	o.post(t)
}

func TestD56NoSecretIsEverLogged(t *testing.T) {
	for _, withMail := range []bool{true, false} {
		o := newOffice(t, SignupOpen, withMail)
		o.mail.fail = errors.New("mail server is down")
		joined := o.join(t, "ada@example.org")
		must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
		_, _ = o.Login(t.Context(), LoginRequest{"ada@example.org", "Typed-Wrong1"}, home)
		answer := must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"ada@example.org"}, home))
		if answer.Message != "If the email exists, a password reset link has been sent" {
			t.Errorf("answer %q", answer.Message)
		}
		invited := must(o.Invite(t.Context(), o.identity(t, joined.AccessToken), InviteRequest{Email: "bob@example.org"}))
		secrets := []string{
			joined.AccessToken, "Correct1", "Typed-Wrong1", invited.Token, "ada@example.org", "bob@example.org", "argon2id",
		}
		for _, link := range o.post(t) {
			secrets = append(secrets, secretOf(link))
		}
		if withMail != (len(secrets) == 10) {
			t.Errorf("%d secrets", len(secrets))
		}
		logged := o.log.String()
		if logged == "" {
			t.Error("nothing was logged at all, so this test proves nothing")
		}
		for _, s := range secrets {
			if s == "" || strings.Contains(logged, s) {
				t.Errorf("%q is in the log:\n%s", s, logged)
			}
		}
	}
}

func TestWithoutMailAnAdministratorMakesTheLink(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	user := o.join(t, "ada@example.org").User.ID
	link := must(o.CreateResetLink(t.Context(), "Ada@example.org"))
	must(o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{link.Token, "Better22"}, home))
	if o.d.store.accounts[user].IsVerified {
		t.Error("no mail was read, so no mailbox is proven")
	}
	_, err := o.CreateResetLink(t.Context(), "nobody@example.org")
	wantCode(t, err, chat.NotFound)
}

// mailServer speaks just enough SMTP.
type mailServer struct {
	net.Listener
	mu       sync.Mutex // guards what follows
	received []string
	done     sync.WaitGroup
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	m := &mailServer{Listener: must(net.Listen("tcp", "127.0.0.1:0"))}
	m.done.Go(func() {
		for {
			c, err := m.Accept()
			if err != nil {
				return
			}
			m.serve(c)
		}
	})
	t.Cleanup(func() { _ = m.Close(); m.done.Wait() })
	return m
}

func (m *mailServer) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
	say("220 test ESMTP")
	in, data, body := bufio.NewScanner(c), false, ""
	for in.Scan() {
		line := in.Text()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case data && line == ".":
			m.mu.Lock()
			m.received = append(m.received, body)
			m.mu.Unlock()
			data = false
			say("250 kept")
		case data:
			body += line + "\n"
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		case verb == "RCPT" && strings.Contains(line, "refused@"):
			say("550 no such mailbox " + line)
		default:
			say("250 ok")
		}
	}
}

func TestMailGoesOutOverSMTP(t *testing.T) {
	server := newMailServer(t)
	o := newOffice(t, SignupOpen, false)
	o.Mail = must(NewSMTP("smtp://"+server.Addr().String(), "Chowk <chat@example.org>"))
	o.join(t, "ada@example.org")
	must(o.RequestPasswordReset(t.Context(), PasswordResetRequest{"ada@example.org"}, home))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.Run(ctx)
	if len(server.received) != 2 {
		t.Fatalf("%d mails; log: %s", len(server.received), o.log)
	}
	body := strings.ReplaceAll(strings.ReplaceAll(server.received[1], "=\n", ""), "=3D", "=")
	for _, want := range []string{
		"To: <ada@example.org>", "From: \"Chowk\" <chat@example.org>", "Subject: Reset your password",
		"https://chat.example.org/#reset=",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	_, secret, _ := strings.Cut(body, "#reset=")
	secret, _, _ = strings.Cut(secret, "\n")
	must(o.ConfirmPasswordReset(t.Context(), PasswordResetConfirm{strings.TrimSpace(secret), "Better22"}, home))
	err := o.Mail.Send(t.Context(), Mail{To: "refused@example.org", Subject: "x", Text: "y"})
	if err == nil || strings.Contains(err.Error(), "refused@") || !strings.Contains(err.Error(), "550") {
		t.Errorf("a refused mail: %v", err)
	}
}

func TestSMTPAddresses(t *testing.T) {
	for _, c := range []struct {
		url, from string
		want      bool
	}{
		{"smtp://mail.example.org", "a@example.org", true},
		{"smtps://u:p@mail.example.org:465", "A <a@example.org>", true},
		{"http://mail.example.org", "a@example.org", false},
		{"smtp://", "a@example.org", false},
		{"smtp://u:hush@mail.example.org:x", "a@example.org", false},
		{"smtp://mail.example.org", "not an address", false},
	} {
		_, err := NewSMTP(c.url, c.from)
		if (err == nil) != c.want || err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", c.url, err)
		}
	}
	// A password leaves this machine under TLS or not at all.
	remote := must(NewSMTP("smtp://u:p@mail.example.org", "a@example.org"))
	if p := remote.client.TLSPolicy(); p != "TLSMandatory" {
		t.Errorf("policy %s", p)
	}
}

func TestMailThatWaitsIsSentBeforeTheEnd(t *testing.T) {
	for range 20 { // whichever Run sees first, the mail or the end
		o := newOffice(t, SignupOpen, true)
		o.join(t, "ada@example.org")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		o.Run(ctx)
		if len(o.mail.sent) != 1 {
			t.Fatalf("%d mails", len(o.mail.sent))
		}
	}
}

func TestRunCleansUpEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, SignupOpen, true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			o.Run(ctx)
		}()
		time.Sleep(3*time.Hour + time.Minute)
		if n := o.d.store.count("DeleteExpired"); n != 3 {
			t.Errorf("%d times in three hours", n)
		}
		cancel()
		<-done
	})
}
