package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
)

// jsonBody is a call whose body is all that it takes.
type jsonBody[T any] struct{ Body T }

type setActive struct {
	OfUser
	Body ActiveRequest
}

// ActiveRequest enables or disables a user.
type ActiveRequest struct {
	IsActive bool `json:"is_active"`
}

// address is whom limits count.
func (a caller) address() netip.Addr { return a.requestLog.door.Door.ClientAddr(a.requestLog.r) }

// keep puts the session in a cookie, where no script can read it; without a token
// it removes the cookie.
func (a caller) keep(token string, life time.Duration) {
	d := a.requestLog.door
	if d.SessionTTL > 0 {
		life = min(life, d.SessionTTL)
	}
	http.SetCookie(a.requestLog, auth.SessionCookie(token, life, d.Door.Secure(a.requestLog.r)))
}

// opened answers whoever just logged in.
func (a caller) opened(t *auth.TokenResponse, err error) (*auth.TokenResponse, error) {
	if err == nil {
		a.keep(t.AccessToken, time.Duration(t.ExpiresIn)*time.Second)
	}
	return t, err
}

// accountCalls is the table of calls about accounts and sessions.
func (d *door) accountCalls() {
	s := d.Accounts
	add(d, call{route: "GET /auth/config", id: "authConfig", tag: tagAccounts, summary: "Say what a log-in page can offer", public: true},
		func(_ context.Context, _ caller, _ *nothing) (auth.ConfigResponse, error) {
			return s.Config(), nil
		})
	add(d, call{route: "POST /auth/signup", id: "signup", tag: tagAccounts, summary: "Make an account and log in", status: http.StatusCreated, public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.SignupRequest]) (*auth.TokenResponse, error) {
			return a.opened(s.SignUp(ctx, in.Body, a.address()))
		})
	add(d, call{route: "POST /auth/login", id: "login", tag: tagAccounts, summary: "Log in", public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.LoginRequest]) (*auth.TokenResponse, error) {
			return a.opened(s.Login(ctx, in.Body, a.address()))
		})
	add(d, call{route: "POST /auth/verify-email", id: "verifyEmail", tag: tagAccounts, summary: "Prove an email address with the token that was mailed to it", public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.VerifyEmailRequest]) (*auth.MessageResponse, error) {
			return s.VerifyEmail(ctx, in.Body, a.address())
		})
	add(d, call{route: "POST /auth/password-reset-request", id: "requestPasswordReset", tag: tagAccounts, summary: "Have a link to set a new password mailed", public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.PasswordResetRequest]) (*auth.MessageResponse, error) {
			return s.RequestPasswordReset(ctx, in.Body, a.address())
		})
	add(d, call{route: "POST /auth/password-reset-confirm", id: "confirmPasswordReset", tag: tagAccounts, summary: "Set a new password with the token of a link", public: true},
		func(ctx context.Context, a caller, in *jsonBody[auth.PasswordResetConfirm]) (*auth.MessageResponse, error) {
			return s.ConfirmPasswordReset(ctx, in.Body, a.address())
		})
	add(d, call{route: "GET /auth/me", id: "me", tag: tagAccounts, summary: "Get your own account"},
		func(ctx context.Context, a caller, _ *nothing) (*auth.UserResponse, error) {
			return s.Me(ctx, a.Identity)
		})
	do(d, call{route: "POST /auth/logout", id: "logout", tag: tagAccounts, summary: "Log out: this session ends everywhere"},
		func(ctx context.Context, a caller, _ *nothing) error {
			err := s.Logout(ctx, a.Identity)
			if err == nil {
				a.keep("", 0)
			}
			return err
		})
	do(d, call{route: "POST /auth/change-password", id: "changePassword", tag: tagAccounts, summary: "Change your password; your other sessions end"},
		func(ctx context.Context, a caller, in *jsonBody[auth.ChangePasswordRequest]) error {
			_, err := s.ChangePassword(ctx, a.Identity, in.Body)
			return err
		})
	add(d, call{route: "POST /auth/invitations", id: "invite", tag: tagAccounts, summary: "Make an invitation to sign up (administrators)", status: http.StatusCreated},
		func(ctx context.Context, a caller, in *jsonBody[auth.InviteRequest]) (*auth.LinkResponse, error) {
			return s.Invite(ctx, a.Identity, in.Body)
		})
	do(d, call{route: "PUT /auth/users/{id}/active", id: "setActive", tag: tagAccounts, summary: "Enable or disable a user (administrators)"},
		func(ctx context.Context, a caller, in *setActive) error {
			return s.SetActive(ctx, a.Identity, in.ID, in.Body.IsActive)
		})
}
