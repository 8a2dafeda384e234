package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
)

// jsonBody is the input of a call that has only a body.
type jsonBody[T any] struct{ Body T }

type setActive struct {
	OfUser
	Body ActiveRequest
}

// ActiveRequest enables or disables a user.
type ActiveRequest struct {
	IsActive bool `json:"is_active"`
}

// address returns the client's address, the key of limits.
func (a caller) address() netip.Addr { return a.exchange.handler.Door.ClientAddr(a.exchange.r) }

// keep sets the cookie with the token, which no script can read. Without a token, it
// removes the cookie.
func (a caller) keep(token string, life time.Duration) {
	secure := a.exchange.handler.Door.Secure(a.exchange.r)
	http.SetCookie(a.exchange, auth.SessionCookie(token, life, secure))
}

// opened sets the cookie of a new log-in.
func (a caller) opened(t *auth.TokenResponse, err error) (*auth.TokenResponse, error) {
	if err == nil {
		a.keep(t.AccessToken, time.Duration(t.ExpiresIn)*time.Second)
	}
	return t, err
}

// accountCalls registers the calls for accounts and log-ins.
func (d *handler) accountCalls() {
	s := d.Accounts
	add(d, call{
		route: "GET /auth/config", id: "authConfig", tag: tagAccounts, summary: "Get what a log-in page can offer",
		public: true,
	},
		func(_ context.Context, _ caller, _ *nothing) (auth.ConfigResponse, error) {
			return s.Config(), nil
		})
	add(d, call{
		route: "POST /auth/signup", id: "signup", tag: tagAccounts, summary: "Create an account and log in",
		status: http.StatusCreated, public: true,
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.SignupRequest]) (*auth.TokenResponse, error) {
			return a.opened(s.SignUp(ctx, in.Body, a.address()))
		})
	add(d, call{route: "POST /auth/login", id: "login", tag: tagAccounts, summary: "Log in", public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.LoginRequest]) (*auth.TokenResponse, error) {
			return a.opened(s.Login(ctx, in.Body, a.address()))
		})
	add(d, call{
		route: "POST /auth/verify-email", id: "verifyEmail", tag: tagAccounts,
		summary: "Verify an email address with the token that was mailed to it", public: true,
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.VerifyEmailRequest]) (*auth.MessageResponse, error) {
			return s.VerifyEmail(ctx, in.Body, a.address())
		})
	add(d, call{
		route: "POST /auth/password-reset-request", id: "requestPasswordReset", tag: tagAccounts,
		summary: "Request a mail with a link to set a new password", public: true,
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.PasswordResetRequest]) (*auth.MessageResponse, error) {
			return s.RequestPasswordReset(ctx, in.Body, a.address())
		})
	add(d, call{
		route: "POST /auth/password-reset-confirm", id: "confirmPasswordReset", tag: tagAccounts,
		summary: "Set a new password with the token of a link", public: true,
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.PasswordResetConfirm]) (*auth.MessageResponse, error) {
			return s.ConfirmPasswordReset(ctx, in.Body, a.address())
		})
	add(d, call{route: "GET /auth/me", id: "me", tag: tagAccounts, summary: "Get your own account"},
		func(ctx context.Context, a caller, _ *nothing) (*auth.UserResponse, error) {
			return s.Me(ctx, a.Identity)
		})
	do(d, call{
		route: "POST /auth/logout", id: "logout", tag: tagAccounts, summary: "Log out, and close the sockets of this log-in",
	},
		func(ctx context.Context, a caller, _ *nothing) error {
			err := s.Logout(ctx, a.Identity)
			if err == nil {
				a.keep("", 0)
			}
			return err
		})
	do(d, call{
		route: "POST /auth/change-password", id: "changePassword", tag: tagAccounts,
		summary: "Change your password, and close your other log-ins",
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.ChangePasswordRequest]) error {
			_, err := s.ChangePassword(ctx, a.Identity, in.Body)
			return err
		})
	add(d, call{
		route: "POST /auth/invitations", id: "invite", tag: tagAccounts,
		summary: "Create an invitation to sign up (administrators)", status: http.StatusCreated,
	},
		func(ctx context.Context, a caller, in *jsonBody[auth.InviteRequest]) (*auth.LinkResponse, error) {
			return s.Invite(ctx, a.Identity, in.Body)
		})
	do(d, call{
		route: "PUT /auth/users/{id}/active", id: "setActive", tag: tagAccounts,
		summary: "Enable or disable a user (administrators)",
	},
		func(ctx context.Context, a caller, in *setActive) error {
			return s.SetActive(ctx, a.Identity, in.ID, in.Body.IsActive)
		})
}
