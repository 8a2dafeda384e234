package auth

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

const (
	verifyTTL     = 48 * time.Hour
	resetTTL      = time.Hour
	inviteTTL     = 7 * 24 * time.Hour
	maxInviteTTL  = 90 * 24 * time.Hour
	maxInviteUses = 1000
	textBadVerify = "Invalid verification token"
	textBadReset  = "Invalid or already used reset token"
	textResetSent = "If the email exists, a password reset link has been sent"
)

type (
	// VerifyEmailRequest returns a token that was mailed.
	VerifyEmailRequest struct {
		Token string `json:"token"`
	}
	// PasswordResetRequest requests a reset link.
	PasswordResetRequest struct {
		Email string `json:"email"`
	}
	// PasswordResetConfirm sets a new password with the token of a reset link.
	PasswordResetConfirm struct {
		Token       string `json:"token"`
		NewPassword string `json:"new_password"`
	}
	// InviteRequest creates an invitation, by default for one person and one week. With
	// an email, the invitation is sent there if the server can send mail.
	InviteRequest struct {
		Email     string `json:"email,omitempty"`
		Uses      int    `json:"uses,omitempty" doc:"How many people can use it, default 1"`
		ExpiresIn int    `json:"expires_in,omitempty" doc:"Seconds, default a week"`
	}
	// LinkResponse is a link that contains a secret.
	LinkResponse struct {
		Link      string    `json:"link"`
		Token     string    `json:"token"`
		ExpiresAt chat.Time `json:"expires_at"`
	}
)

// fragments name the purpose of a link for the page. The part after # stays in the
// browser, so that the secret appears in no log, proxy or Referer header.
var fragments = map[model.TicketPurpose]string{
	model.TicketInvitation:    "invite",
	model.TicketVerifyEmail:   "verify",
	model.TicketResetPassword: "reset",
}

// link creates a ticket, and returns the link with its secret.
func (a *Accounts) link(ctx context.Context, t model.Ticket, ttl time.Duration) (*LinkResponse, error) {
	var secret string
	secret, t.Hash = newSecret("")
	now := a.Now()
	t.CreatedAt, t.ExpiresAt = chat.TimeOf(now), chat.TimeOf(now.Add(ttl))
	if err := a.Store.AddTicket(ctx, t); err != nil {
		return nil, fmt.Errorf("add ticket: %w", err)
	}
	// The base is the configured URL. With the Host header of the request, the caller
	// could choose where the link in the mail leads.
	link := strings.TrimRight(a.PublicURL, "/") + "/#" + fragments[t.Purpose] + "=" + secret
	return &LinkResponse{Link: link, Token: secret, ExpiresAt: t.ExpiresAt}, nil
}

// VerifyEmail marks the email of the user as verified who returns the token that was
// sent there.
func (a *Accounts) VerifyEmail(ctx context.Context, r VerifyEmailRequest, from netip.Addr) (*MessageResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	t, err := a.spend(ctx, r.Token, model.TicketVerifyEmail, from)
	if err != nil {
		return nil, err
	}
	if err := a.Store.SetVerified(ctx, t.UserID); err != nil {
		return nil, fmt.Errorf("set verified: %w", err)
	}
	return &MessageResponse{"Email verified successfully"}, nil
}

// RequestPasswordReset gives the same answer after the same time, whether or not the
// address has an account: the look-up and the mail happen afterwards.
func (a *Accounts) RequestPasswordReset(
	ctx context.Context, r PasswordResetRequest, from netip.Addr,
) (*MessageResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	email, ok := cleanEmail(r.Email)
	if !ok {
		return nil, chat.Invalid("email", "This is not a valid email address")
	}
	if err := a.resetAddr.take(addrKey(from)); err != nil {
		return nil, err
	}
	if a.Mail == nil {
		a.Log.InfoContext(
			ctx,
			"a user requested a password reset, but mail.smtp-url is not set; create a link with `chowk reset-link "+
				"--user EMAIL`",
		)
	}
	a.enqueue(mailJob{kind: model.TicketResetPassword, email: email})
	return &MessageResponse{textResetSent}, nil
}

// ConfirmPasswordReset sets a new password and closes all log-ins of the user.
func (a *Accounts) ConfirmPasswordReset(
	ctx context.Context, r PasswordResetConfirm, from netip.Addr,
) (*MessageResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	if err := checkPassword("new_password", r.NewPassword); err != nil {
		return nil, err
	}
	// Wait for the hasher first: a busy server must not use up the ticket.
	release, err := a.hasher.acquire(ctx)
	if err != nil {
		return nil, err
	}
	t, err := a.spend(ctx, r.Token, model.TicketResetPassword, from)
	if err != nil {
		release()
		return nil, err
	}
	hash := a.hasher.hash(r.NewPassword)
	release()
	closed, err := a.Store.SetPassword(ctx, t.UserID, hash, model.TokenHash{})
	if err != nil {
		return nil, fmt.Errorf("set password: %w", err)
	}
	if len(closed) > 0 {
		a.Auth.Revoked(closed, t.UserID)
	}
	if t.Email != "" { // the ticket was mailed, so the mailbox is theirs
		if err := a.Store.SetVerified(ctx, t.UserID); err != nil {
			return nil, fmt.Errorf("set verified: %w", err)
		}
	}
	return &MessageResponse{"Password has been reset successfully"}, nil
}

// spend uses a ticket once. Its refusal does not reveal whether such a ticket ever
// existed.
func (a *Accounts) spend(
	ctx context.Context, token string, purpose model.TicketPurpose, from netip.Addr,
) (*model.Ticket, error) {
	refusal := chat.Invalid("token", textBadVerify)
	if purpose == model.TicketResetPassword {
		refusal = chat.Invalid("token", textBadReset)
	}
	addr := addrKey(from)
	if err := a.ticketAddr.take(addr); err != nil {
		return nil, err
	}
	if len(token) == 0 || len(token) > maxTokenLen {
		return nil, refusal
	}
	t, err := a.Store.SpendTicket(ctx, HashToken(token), purpose, chat.TimeOf(a.Now()))
	if isCode(err, chat.NotFound) {
		return nil, refusal
	}
	if err != nil {
		return nil, fmt.Errorf("spend ticket: %w", err)
	}
	a.ticketAddr.Return(addr)
	return t, nil
}

// Invite creates an invitation for an administrator.
func (a *Accounts) Invite(ctx context.Context, by Identity, r InviteRequest) (*LinkResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	if !by.Admin {
		return nil, chat.Errorf(chat.Forbidden, "Only an administrator can invite people")
	}
	return a.CreateInvitation(ctx, by.User, r)
}

// CreateInvitation is Invite for a caller with direct access to the database.
func (a *Accounts) CreateInvitation(ctx context.Context, by chat.UserID, r InviteRequest) (*LinkResponse, error) {
	if r.Uses == 0 {
		r.Uses = 1
	}
	if r.ExpiresIn == 0 {
		r.ExpiresIn = int(inviteTTL / time.Second)
	}
	switch {
	case a.Signup == SignupClosed:
		return nil, chat.Errorf(
			chat.Forbidden, "Sign-up is closed on this server (auth.signup), so no one could use an invitation",
		)
	case r.Uses < 1 || r.Uses > maxInviteUses:
		return nil, chat.Invalid("uses", fmt.Sprintf("An invitation can be used 1 to %d times", maxInviteUses))
	case r.ExpiresIn < 60 || r.ExpiresIn > int(maxInviteTTL/time.Second):
		return nil, chat.Invalid("expires_in", "expires_in must be between 60 seconds and 90 days")
	}
	if r.Email != "" {
		email, ok := cleanEmail(r.Email)
		if !ok {
			return nil, chat.Invalid("email", "This is not a valid email address")
		}
		r.Email = email
	}
	t := model.Ticket{Purpose: model.TicketInvitation, UserID: by, Email: r.Email, Uses: r.Uses}
	link, err := a.link(ctx, t, time.Duration(r.ExpiresIn)*time.Second)
	if err == nil && r.Email != "" {
		a.enqueue(mailJob{kind: model.TicketInvitation, email: r.Email, link: link.Link})
	}
	return link, err
}

// CreateResetLink returns a reset link, for a caller with direct access to the database
// who sends it to the account's owner privately.
func (a *Accounts) CreateResetLink(ctx context.Context, email string) (*LinkResponse, error) {
	account, err := a.Store.AccountByEmail(ctx, email)
	if isCode(err, chat.NotFound) {
		return nil, chat.Errorf(chat.NotFound, "No account has the email "+email)
	}
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	if account.PasswordHash == "" {
		// With a password they could log in after the host application has locked them out.
		return nil, chat.Errorf(chat.Conflict, email+" has no password here: they log in through your application")
	}
	return a.link(ctx, model.Ticket{Purpose: model.TicketResetPassword, UserID: account.ID, Uses: 1}, resetTTL)
}
