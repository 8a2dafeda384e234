package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Mail is a plain text mail.
type Mail struct {
	To, Subject, Text string
}

// Mailer sends mail.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// mailJob is a mail to write and send. Run creates its ticket and, if needed, looks up
// the account of the address.
type mailJob struct {
	kind  model.TicketPurpose
	user  chat.UserID // "" to look up the address
	email string
	link  string // "" to create one
}

const (
	maxMailJobs     = 256
	mailTimeout     = 30 * time.Second
	drainTimeout    = 5 * time.Second
	cleanupInterval = time.Hour
)

// enqueue passes a mail to Run. It drops the mail if too many are waiting, or if the
// address has received too many: the user can request it again.
func (a *Accounts) enqueue(e mailJob) {
	if a.Mail == nil {
		return
	}
	if a.mailTo.take(string(e.kind)+" "+strings.ToLower(e.email)) != nil {
		return
	}
	select {
	case a.queue <- e:
	default:
		a.Log.Warn("dropped a mail: too many are waiting to be sent", "waiting", len(a.queue))
	}
}

// Run sends mail and deletes expired log-ins and tickets until ctx ends. Mails that are
// waiting then get up to drainTimeout.
func (a *Accounts) Run(ctx context.Context) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, stop) })
	defer unhook()
	clean := time.NewTicker(cleanupInterval)
	defer clean.Stop()
	for {
		select {
		case e := <-a.queue:
			a.run(work, e)
		case <-clean.C:
			if err := a.Store.DeleteExpired(work, expiredBefore(a.Now())); err != nil {
				a.Log.WarnContext(work, "delete expired log-ins; trying again in an hour", "err", err)
			}
		case <-ctx.Done():
			a.drain(work)
			return
		}
	}
}

// expiredRetention is how long expired log-ins and tickets are kept, so that a clock
// that was ahead for a while does not end any of them permanently.
const expiredRetention = 24 * time.Hour

func expiredBefore(now time.Time) chat.Time { return chat.TimeOf(now.Add(-expiredRetention)) }

func (a *Accounts) drain(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case e := <-a.queue:
			a.run(ctx, e)
		default:
			return
		}
	}
}

// run sends one mail and logs an error, without the link and the recipient.
func (a *Accounts) run(ctx context.Context, e mailJob) {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	if err := a.deliver(ctx, e); err != nil {
		a.Log.WarnContext(ctx, "send a mail", "kind", e.kind, "err", err)
	}
}

func (a *Accounts) deliver(ctx context.Context, e mailJob) error {
	if e.user == "" && e.kind == model.TicketResetPassword {
		account, err := a.Store.AccountByEmail(ctx, e.email)
		if isCode(err, chat.NotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look up account: %w", err)
		}
		if !account.IsActive || account.PasswordHash == "" {
			return nil
		}
		e.user, e.email = account.ID, *account.Email
	}
	if e.link == "" {
		ttl := verifyTTL
		if e.kind == model.TicketResetPassword {
			ttl = resetTTL
		}
		link, err := a.link(ctx, model.Ticket{Purpose: e.kind, UserID: e.user, Email: e.email, Uses: 1}, ttl)
		if err != nil {
			return err
		}
		e.link = link.Link
	}
	return a.Mail.Send(ctx, mailText(e))
}

func mailText(e mailJob) Mail {
	m := Mail{To: e.email}
	switch e.kind {
	case model.TicketResetPassword:
		m.Subject = "Reset your password"
		m.Text = "Someone, probably you, asked to reset the password of your account.\n\n" +
			"To choose a new password, open this link within an hour:\n\n" + e.link + "\n\n" +
			"If it was not you, ignore this message: your password stays the same.\n"
	case model.TicketVerifyEmail:
		m.Subject = "Confirm your email address"
		m.Text = "Welcome! To confirm that this address is yours, open this link within two days:\n\n" + e.link + "\n\n" +
			"If you did not sign up, ignore this message.\n"
	case model.TicketInvitation:
		m.Subject = "You've been invited"
		m.Text = "You've been invited to join a conversation. Create your account here:\n\n" + e.link + "\n"
	}
	return m
}

// SMTP sends mail through a mail server.
type SMTP struct {
	client *mail.Client
	from   string
}

// NewSMTP returns a Mailer for smtp://user:password@host:587 (STARTTLS, required for a
// password unless the host is this machine) or smtps://user:password@host:465.
func NewSMTP(address, from string) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		return nil, errors.New(
			"set up mail: mail.smtp-url must look like smtp://user:password@host:587 or smtps://user:password@host:465",
		)
	}
	options := []mail.Option{mail.WithTimeout(15 * time.Second)}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	port := "587"
	switch password, ok := u.User.Password(); {
	case u.Scheme == "smtps":
		port = "465"
		options = append(options, mail.WithSSL())
	case ok && password != "" && !local:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case local:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	}
	if u.Port() != "" {
		port = u.Port()
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("set up mail: read port: %w", err)
	}
	options = append(options, mail.WithPort(n))
	if password, ok := u.User.Password(); ok {
		options = append(options, mail.WithUsername(u.User.Username()), mail.WithPassword(password),
			mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover))
	}
	client, err := mail.NewClient(u.Hostname(), options...)
	if err != nil {
		return nil, fmt.Errorf("set up mail: %w", err)
	}
	if err := mail.NewMsg().From(from); err != nil {
		return nil, errors.New("set up mail: mail.from must be an address such as chat@example.org")
	}
	return &SMTP{client, from}, nil
}

// Send delivers one mail to the mail server.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	msg := mail.NewMsg()
	if err := msg.From(s.from); err != nil {
		return fmt.Errorf("write sender: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return errors.New("write recipient: not an address")
	}
	msg.Subject(m.Subject)
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if err := s.client.DialAndSendWithContext(ctx, msg); err != nil {
		// Servers repeat the address that they refuse. Keep it out of the log.
		return errors.New("send mail: " + strings.ReplaceAll(err.Error(), m.To, "(recipient)"))
	}
	return nil
}
