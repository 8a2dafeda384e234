package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Signup is the policy for new accounts.
type Signup string

// The policies. The first account can always be created, and becomes the administrator.
const (
	SignupOpen   Signup = "open"
	SignupInvite Signup = "invite"
	SignupClosed Signup = "closed"
)

// AccountsOptions configure Accounts.
type AccountsOptions struct {
	Store      Store
	Auth       *Authenticator
	Mail       Mailer // nil to send no mail
	Signup     Signup
	SessionTTL time.Duration
	PublicURL  string // the base of links in mails
	Log        *slog.Logger
	Now        func() time.Time // time.Now if nil
}

// Accounts manages the accounts of people who log in to chowk.
type Accounts struct {
	AccountsOptions
	hasher *hasher
	queue  chan mailJob

	// Failed log-ins count for the address, and for the pair of address and account: no
	// one can lock an account from elsewhere, and an address cannot try many accounts.
	loginAddr, loginPair limiter
	signupAddr           limiter
	resetAddr, mailTo    limiter
	ticketAddr           limiter
	change               limiter
}

// NewAccounts returns Accounts. It starts no goroutine; see Run.
func NewAccounts(o AccountsOptions) *Accounts {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SessionTTL <= 0 {
		o.SessionTTL = 30 * 24 * time.Hour
	}
	limit := func(burst int, every time.Duration) limiter { return newLimiter(burst, every, o.Now) }
	return &Accounts{
		AccountsOptions: o,
		hasher:          newHasher(),
		queue:           make(chan mailJob, maxMailJobs),
		loginAddr:       limit(100, 6*time.Second), // a school has one address
		loginPair:       limit(10, time.Minute),
		signupAddr:      limit(50, time.Minute),
		resetAddr:       limit(20, time.Minute),
		mailTo:          limit(3, 20*time.Minute),
		ticketAddr:      limit(20, 30*time.Second),
		change:          limit(10, time.Minute),
	}
}

// Texts that clients of the old protocol know.
const (
	textBadLogin   = "Invalid email or password"
	textEmailTaken = "Email already registered"
)

// Config returns what a log-in page can offer.
func (a *Accounts) Config() ConfigResponse {
	if a.Auth.Mode() != ModeAccounts {
		return ConfigResponse{Mode: a.Auth.Mode(), Signup: SignupClosed}
	}
	return ConfigResponse{Mode: ModeAccounts, Signup: a.Signup}
}

// SignUp creates an account and logs it in. The first one becomes the administrator.
func (a *Accounts) SignUp(ctx context.Context, r SignupRequest, from netip.Addr) (*TokenResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	account, err := a.newAccount(r)
	if err != nil {
		return nil, err
	}
	if err := a.signupAddr.take(addrKey(from)); err != nil {
		return nil, err
	}
	release, err := a.hasher.acquire(ctx)
	if err != nil {
		return nil, err
	}
	account.PasswordHash = a.hasher.hash(r.Password)
	release()

	var invitation model.TokenHash
	if r.Invitation != "" && a.Signup == SignupInvite {
		invitation = HashToken(r.Invitation)
	}
	onlyFirst := a.Signup != SignupOpen && invitation == model.TokenHash{}
	user, err := a.Store.CreateAccount(ctx, account, invitation, onlyFirst)
	switch {
	case isCode(err, chat.Conflict):
		return nil, chat.Errorf(chat.Conflict, textEmailTaken)
	case isCode(err, chat.Forbidden):
		return nil, a.refuseSignup(r.Invitation)
	case err != nil:
		return nil, fmt.Errorf("create account: %w", err)
	}
	a.enqueue(mailJob{kind: model.TicketVerifyEmail, user: user.ID, email: *account.Email})
	return a.logIn(ctx, &user)
}

func (a *Accounts) refuseSignup(invitation string) error {
	switch {
	case a.Signup == SignupClosed:
		return chat.Errorf(chat.Forbidden, "This server does not accept new accounts. Ask an administrator for an account.")
	case invitation == "":
		return chat.Errorf(chat.Forbidden, "This server requires an invitation to sign up. Ask an administrator for a link.")
	}
	return chat.Errorf(chat.Forbidden, "This invitation has expired or was already used. Ask for a new one.")
}

// newAccount returns the account of a sign-up whose fields are valid.
func (a *Accounts) newAccount(r SignupRequest) (model.Account, error) {
	email, ok := cleanEmail(r.Email)
	if !ok {
		return model.Account{}, chat.Invalid("email", "This is not a valid email address")
	}
	if err := checkPassword("password", r.Password); err != nil {
		return model.Account{}, err
	}
	if r.Role == "" {
		r.Role = "student"
	}
	if r.Role != "student" && r.Role != "tutor" {
		return model.Account{}, chat.Invalid("role", "role must be student or tutor")
	}
	text := func(s *string, n int) *string {
		if s == nil {
			return nil
		}
		return textOrNil(cleanText(*s, n))
	}
	u := chat.User{
		ID: chat.UserID(chat.NewID().String()), Email: &email, Role: r.Role, IsActive: true,
		FirstName: text(r.FirstName, maxNameRunes), LastName: text(r.LastName, maxNameRunes),
		Phone: text(r.Phone, 32), CreatedAt: chat.TimeOf(a.Now()),
	}
	u.Name = displayName(u)
	return model.Account{User: u}, nil
}

// displayName returns the name that others see: the user's name, or else the local
// part of the email.
func displayName(u chat.User) string {
	var parts []string
	for _, p := range []*string{u.FirstName, u.LastName} {
		if p != nil {
			parts = append(parts, *p)
		}
	}
	if len(parts) == 0 {
		name, _, _ := strings.Cut(*u.Email, "@")
		return cleanText(name, maxNameRunes)
	}
	return cleanText(strings.Join(parts, " "), maxNameRunes)
}

// Login logs in a user who knows the password. A wrong password, an unknown email and
// an account without a password get the same answer after the same time.
func (a *Accounts) Login(ctx context.Context, r LoginRequest, from netip.Addr) (*TokenResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	badLogin := chat.Errorf(chat.Unauthorized, textBadLogin)
	email, ok := cleanEmail(r.Email)
	if !ok || len(r.Password) > MaxPassword {
		return nil, badLogin
	}
	addr := addrKey(from)
	pair := addr + " " + strings.ToLower(email)
	undo, err := takeBoth(a.loginPair, pair, a.loginAddr, addr)
	if err != nil {
		return nil, err
	}
	account, err := a.Store.AccountByEmail(ctx, email)
	if isCode(err, chat.NotFound) {
		account, err = &model.Account{}, nil
	}
	if err != nil {
		undo()
		return nil, fmt.Errorf("look up account: %w", err)
	}
	good, err := a.checkPassword(ctx, account, r.Password)
	if err != nil {
		undo() // the caller learned nothing
		return nil, err
	}
	if !good {
		return nil, badLogin
	}
	undo()
	a.loginPair.Reset(pair)
	if !account.IsActive {
		return nil, chat.Errorf(chat.Forbidden, TextInactive)
	}
	return a.logIn(ctx, &account.User)
}

// takeBoth counts one attempt in two limiters.
func takeBoth(l1 limiter, key1 string, l2 limiter, key2 string) (undo func(), err error) {
	if err := l1.take(key1); err != nil {
		return nil, err
	}
	if err := l2.take(key2); err != nil {
		l1.Return(key1)
		return nil, err
	}
	return func() { l1.Return(key1); l2.Return(key2) }, nil
}

// checkPassword compares the password, and replaces a hash with old parameters.
func (a *Accounts) checkPassword(ctx context.Context, account *model.Account, password string) (bool, error) {
	release, err := a.hasher.acquire(ctx)
	if err != nil {
		return false, err
	}
	good, stale := a.hasher.verify(password, account.PasswordHash)
	var better string
	rehasher, can := a.Store.(Rehasher)
	if good && stale && can {
		better = a.hasher.hash(password)
	}
	release()
	if better != "" {
		if err := rehasher.ReplaceHash(ctx, account.ID, account.PasswordHash, better); err != nil {
			a.Log.WarnContext(ctx, "replace a password hash with a stronger one", "user", account.ID, "err", err)
		}
	}
	return good, nil
}

func (a *Accounts) logIn(ctx context.Context, u *chat.User) (*TokenResponse, error) {
	token, err := OpenSession(ctx, a.Store, u.ID, a.Now(), a.SessionTTL)
	if err != nil {
		return nil, err
	}
	return &TokenResponse{
		AccessToken: token, TokenType: "bearer", ExpiresIn: int(a.SessionTTL / time.Second), User: userResponse(u),
	}, nil
}

// Me returns the caller's own account.
func (a *Accounts) Me(ctx context.Context, id Identity) (*UserResponse, error) {
	account, err := a.Store.Account(ctx, id.User)
	if isCode(err, chat.NotFound) {
		return nil, ErrBadToken
	}
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	u := userResponse(&account.User)
	return &u, nil
}

// Logout closes the caller's log-in. It does nothing for a token of the host
// application, which only that application can end.
func (a *Accounts) Logout(ctx context.Context, id Identity) error {
	if id.Session == (model.TokenHash{}) {
		return nil
	}
	if err := a.Store.CloseSession(ctx, id.Session); err != nil && !isCode(err, chat.NotFound) {
		return fmt.Errorf("close log-in: %w", err)
	}
	a.Auth.Revoked([]model.TokenHash{id.Session}, id.User)
	return nil
}

// ChangePassword replaces the caller's password and closes their other log-ins.
func (a *Accounts) ChangePassword(ctx context.Context, id Identity, r ChangePasswordRequest) (*MessageResponse, error) {
	if err := a.enabled(); err != nil {
		return nil, err
	}
	if err := checkPassword("new_password", r.NewPassword); err != nil {
		return nil, err
	}
	key := string(id.User)
	if err := a.change.take(key); err != nil {
		return nil, err
	}
	account, err := a.Store.Account(ctx, id.User)
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	good, err := a.checkPassword(ctx, account, r.CurrentPassword[:min(len(r.CurrentPassword), MaxPassword+1)])
	if err != nil {
		return nil, err
	}
	if !good {
		return nil, chat.Invalid("current_password", "The current password is wrong")
	}
	a.change.Reset(key)
	if err := a.setPassword(ctx, id.User, r.NewPassword, id.Session); err != nil {
		return nil, err
	}
	return &MessageResponse{"Password changed"}, nil
}

func (a *Accounts) setPassword(ctx context.Context, user chat.UserID, password string, keep model.TokenHash) error {
	release, err := a.hasher.acquire(ctx)
	if err != nil {
		return err
	}
	hash := a.hasher.hash(password)
	release()
	closed, err := a.Store.SetPassword(ctx, user, hash, keep)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if len(closed) > 0 {
		a.Auth.Revoked(closed, user)
	}
	return nil
}

// SetActive enables or disables a user. Disabling closes all their log-ins and sockets.
func (a *Accounts) SetActive(ctx context.Context, by Identity, user chat.UserID, active bool) error {
	switch {
	case !by.Admin:
		return chat.Errorf(chat.Forbidden, "Only an administrator can do this")
	case by.User == user:
		return chat.Errorf(chat.Forbidden, "Administrators cannot disable themselves")
	}
	if _, err := a.Store.SetActive(ctx, user, active); err != nil {
		return fmt.Errorf("set active: %w", err)
	}
	if active {
		a.Auth.Enabled(user)
	} else {
		a.Auth.Revoked(nil, user)
	}
	return nil
}

func (a *Accounts) enabled() error {
	if a.Auth.Mode() == ModeAccounts {
		return nil
	}
	return chat.Errorf(chat.Forbidden, "This server has no accounts of its own: log in with your application.")
}
