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
	// VerifyEmailRequest brings back what was mailed.
	VerifyEmailRequest struct {
		Token string `json:"token"`
	}
	// PasswordResetRequest asks for a link.
	PasswordResetRequest struct {
		Email string `json:"email"`
	}
	// PasswordResetConfirm uses it.
	PasswordResetConfirm struct {
		Token       string `json:"token"`
		NewPassword string `json:"new_password"`
	}
	// InviteRequest asks for an invitation: for one person within a week, unless it
	// says otherwise. With an email it is sent there, if mail can be sent.
	InviteRequest struct {
		Email     string `json:"email,omitempty"`
		Uses      int    `json:"uses,omitempty" doc:"How many people it lets in, 1 when left out"`
		ExpiresIn int    `json:"expires_in,omitempty" doc:"Seconds, a week when left out"`
	}
	// LinkResponse is a link with a secret in it.
	LinkResponse struct {
		Link      string    `json:"link"`
		Token     string    `json:"token"`
		ExpiresAt chat.Time `json:"expires_at"`
	}
)

// fragments name a link's purpose to the page. What follows # stays in the
// browser: no log, proxy or Referer header sees the secret.
var fragments = map[model.TicketPurpose]string{
	model.TicketInvitation:    "invite",
	model.TicketVerifyEmail:   "verify",
	model.TicketResetPassword: "reset",
}

// link makes a ticket and the link that carries its secret.
func (a *Accounts) link(ctx context.Context, t model.Ticket, ttl time.Duration) (*LinkResponse, error) {
	var secret string
	secret, t.Hash = newSecret("")
	now := a.Now()
	t.CreatedAt, t.ExpiresAt = chat.TimeOf(now), chat.TimeOf(now.Add(ttl))
	if err := a.Store.AddTicket(ctx, t); err != nil {
		return nil, fmt.Errorf("add ticket: %w", err)
	}
	// The address is the configured one: that of a request's Host header would
	// let whoever asks choose where the mail's reader goes.
	link := strings.TrimRight(a.PublicURL, "/") + "/#" + fragments[t.Purpose] + "=" + secret
	return &LinkResponse{Link: link, Token: secret, ExpiresAt: t.ExpiresAt}, nil
}

// VerifyEmail believes whoever brings what was sent to their address.
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

// RequestPasswordReset answers the same, and as fast, whether or not the address
// has an account: finding out, and mailing, is done afterwards.
func (a *Accounts) RequestPasswordReset(ctx context.Context, r PasswordResetRequest, from netip.Addr) (*MessageResponse, error) {
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
		a.Log.InfoContext(ctx, "Somebody asked for a password reset, but mail.smtp-url is not set; `chowk reset-link --user EMAIL` makes a link")
	}
	a.enqueue(mailJob{kind: model.TicketResetPassword, email: email})
	return &MessageResponse{textResetSent}, nil
}

// ConfirmPasswordReset sets a new password and ends all sessions of the user.
func (a *Accounts) ConfirmPasswordReset(ctx context.Context, r PasswordResetConfirm, from netip.Addr) (*MessageResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	if err := checkPassword("new_password", r.NewPassword); err != nil {
		return nil, err
	}
	// The turn is taken first: a ticket must not be lost because it is busy here.
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
	if t.Email != "" { // it was mailed, so the mailbox is theirs
		if err := a.Store.SetVerified(ctx, t.UserID); err != nil {
			return nil, fmt.Errorf("set verified: %w", err)
		}
	}
	return &MessageResponse{"Password has been reset successfully"}, nil
}

// spend takes one use of a ticket. Its refusal does not say whether there ever was
// such a ticket.
func (a *Accounts) spend(ctx context.Context, token string, purpose model.TicketPurpose, from netip.Addr) (*model.Ticket, error) {
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

// Invite makes an invitation for an administrator.
func (a *Accounts) Invite(ctx context.Context, by Identity, r InviteRequest) (*LinkResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	if !by.Admin {
		return nil, chat.Errorf(chat.Forbidden, "Only an administrator can invite people")
	}
	return a.MakeInvitation(ctx, by.User, r)
}

// MakeInvitation is Invite for whoever has the database in hand.
func (a *Accounts) MakeInvitation(ctx context.Context, by chat.UserID, r InviteRequest) (*LinkResponse, error) {
	if r.Uses == 0 {
		r.Uses = 1
	}
	if r.ExpiresIn == 0 {
		r.ExpiresIn = int(inviteTTL / time.Second)
	}
	switch {
	case a.Signup == SignupClosed:
		return nil, chat.Errorf(chat.Forbidden, "Sign-up is closed on this server (auth.signup); invitations would lead nowhere")
	case r.Uses < 1 || r.Uses > maxInviteUses:
		return nil, chat.Invalid("uses", fmt.Sprintf("An invitation lets in 1 to %d people", maxInviteUses))
	case r.ExpiresIn < 60 || r.ExpiresIn > int(maxInviteTTL/time.Second):
		return nil, chat.Invalid("expires_in", "An invitation lasts from a minute to 90 days")
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

// MakeResetLink makes a reset link for whoever has the database in hand, to give
// to the account's owner by a way that is safe.
func (a *Accounts) MakeResetLink(ctx context.Context, email string) (*LinkResponse, error) {
	account, err := a.Store.AccountByEmail(ctx, email)
	if isCode(err, chat.NotFound) {
		return nil, chat.Errorf(chat.NotFound, "No account has the email "+email)
	}
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	if account.PasswordHash == "" {
		// A password would let them in after the host application has shut them out.
		return nil, chat.Errorf(chat.Conflict, email+" has no password here: the application that this server belongs to vouches for them")
	}
	return a.link(ctx, model.Ticket{Purpose: model.TicketResetPassword, UserID: account.ID, Uses: 1}, resetTTL)
}
