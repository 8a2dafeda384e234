package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/model"
)

type tokenCmd struct {
	User   string        `name:"user" required:"" placeholder:"USER" help:"User id, or email of an account."`
	TTL    time.Duration `name:"ttl" default:"24h" placeholder:"DURATION" help:"How long it is valid."`
	Create bool          `name:"create" help:"Create the user if it does not exist."`
}

// Help describes what kind of token it is.
func (tokenCmd) Help() string {
	return "If a JWT secret is set, the token is a JWT signed with it. Otherwise it is a log-in\n" +
		"stored in the database, which must be the server's. Only the token is printed:\n\n" +
		"  curl -H \"Authorization: Bearer $(chowk token --user bot --create)\" ..."
}

const maxTokenTTL = 10 * 365 * 24 * time.Hour

// byEmail reports whether the user is named by email.
func (cmd tokenCmd) byEmail() bool { return strings.Contains(cmd.User, "@") }

func (cmd tokenCmd) run(ctx context.Context, c invocation, cfg *config) error {
	if cmd.TTL <= 0 || cmd.TTL > maxTokenTTL {
		return fmt.Errorf("--ttl must be longer than 0s and at most %s, not %s", maxTokenTTL, cmd.TTL)
	}
	user := chat.UserID(cmd.User)
	if !cmd.byEmail() && !user.Valid() {
		return fmt.Errorf("--user must be an email, or 1 to 64 of the characters A-Z a-z 0-9 _ . : -, not %q", cmd.User)
	}
	switch {
	case cfg.Auth.Mode == string(auth.ModeNone):
		if cmd.byEmail() {
			return errors.New("with auth=none a token is a user id, and an email is not a user id")
		}
		return c.print(cmd.User)
	case cfg.Auth.JWTSecret != "" && !cmd.byEmail() && !cmd.Create:
		token, err := cmd.sign(cfg, user)
		if err != nil {
			return err
		}
		return c.print(token)
	}
	return c.withStore(ctx, cfg, func(store auth.Store) error {
		token, err := cmd.stored(ctx, cfg, store)
		if err != nil {
			return err
		}
		return c.print(token)
	})
}

func (cmd tokenCmd) sign(cfg *config, user chat.UserID) (string, error) {
	return auth.MintJWT(cfg.Auth.JWTSecret, cfg.Auth.JWTIssuer, cfg.Auth.JWTAudience, user, time.Now(), cmd.TTL)
}

// stored returns a token of a user in the database.
func (cmd tokenCmd) stored(ctx context.Context, cfg *config, store auth.Store) (string, error) {
	user, err := cmd.findUser(ctx, store)
	switch {
	case err != nil:
		return "", err
	case cfg.Auth.JWTSecret != "":
		return cmd.sign(cfg, user)
	case cfg.Auth.Mode == string(auth.ModeJWT):
		return "", errors.New("this server checks tokens with a public key; only the application that has the private key " +
			"can create one")
	}
	return auth.OpenSession(ctx, store, user, time.Now(), cmd.TTL)
}

func (cmd tokenCmd) findUser(ctx context.Context, store auth.Store) (chat.UserID, error) {
	var account *model.Account
	var err error
	if cmd.byEmail() {
		account, err = store.AccountByEmail(ctx, cmd.User)
	} else {
		account, err = store.Account(ctx, chat.UserID(cmd.User))
	}
	switch {
	case err == nil && !account.IsActive:
		return "", fmt.Errorf("%s is disabled", cmd.User)
	case err == nil:
		return account.ID, nil
	case !isNotFound(err):
		return "", fmt.Errorf("look up user: %w", err)
	case !cmd.Create:
		return "", fmt.Errorf("there is no user %s; pass --create to create it", cmd.User)
	case cmd.byEmail():
		return "", errors.New("--create needs a user id; an account with an email is created by signing up")
	}
	u, err := store.EnsureUser(ctx, chat.User{
		ID: chat.UserID(cmd.User), Name: cmd.User, IsActive: true, CreatedAt: chat.TimeOf(time.Now()),
	})
	if err != nil {
		return "", fmt.Errorf("create user: %w", err)
	}
	return u.ID, nil
}

func isNotFound(err error) bool {
	var e *chat.Error
	return errors.As(err, &e) && e.Code == chat.NotFound
}

type inviteCmd struct {
	Uses int           `name:"uses" default:"1" placeholder:"N" help:"How many people can use it."`
	TTL  time.Duration `name:"ttl" default:"168h" placeholder:"DURATION" help:"How long it is valid."`
	By   string        `name:"by" placeholder:"EMAIL" help:"Email of the account that invites, if any."`
}

// Help describes what the link is for.
func (inviteCmd) Help() string {
	return "Anyone with the link can create an account, even when auth.signup is invite."
}

func (cmd inviteCmd) run(ctx context.Context, c invocation, cfg *config) error {
	return c.withAccounts(ctx, cfg, func(a *auth.Accounts) error {
		by, err := cmd.inviter(ctx, a)
		if err != nil {
			return err
		}
		link, err := a.CreateInvitation(ctx, by, auth.InviteRequest{Uses: cmd.Uses, ExpiresIn: int(cmd.TTL / time.Second)})
		if err != nil {
			return err
		}
		return c.print(link.Link)
	})
}

// inviter returns the user of --by, "" without one.
func (cmd inviteCmd) inviter(ctx context.Context, a *auth.Accounts) (chat.UserID, error) {
	if cmd.By == "" {
		return "", nil
	}
	account, err := a.Store.AccountByEmail(ctx, cmd.By)
	switch {
	case isNotFound(err):
		return "", fmt.Errorf("--by: no account has the email %s", cmd.By)
	case err != nil:
		return "", fmt.Errorf("look up the account of --by: %w", err)
	}
	return account.ID, nil
}

type resetCmd struct {
	User string `name:"user" required:"" placeholder:"EMAIL" help:"Email of the account."`
}

// Help describes how to deliver the link.
func (resetCmd) Help() string {
	return "The link works once, for an hour. Anyone who has it can take over the account: send\n" +
		"it to its owner privately."
}

func (cmd resetCmd) run(ctx context.Context, c invocation, cfg *config) error {
	return c.withAccounts(ctx, cfg, func(a *auth.Accounts) error {
		link, err := a.CreateResetLink(ctx, cmd.User)
		if err != nil {
			return err
		}
		return c.print(link.Link)
	})
}

// withStore calls do with the server's database.
func (c invocation) withStore(ctx context.Context, cfg *config, do func(auth.Store) error) error {
	store, closeStore, err := c.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(store), closeStore())
}

// withAccounts calls do with the accounts in the server's database.
func (c invocation) withAccounts(ctx context.Context, cfg *config, do func(*auth.Accounts) error) error {
	if cfg.Auth.Mode != string(auth.ModeAccounts) {
		return fmt.Errorf("this server has no accounts of its own: auth is %s", cfg.Auth.Mode)
	}
	return c.withStore(ctx, cfg, func(store auth.Store) error {
		return do(auth.NewAccounts(auth.AccountsOptions{
			Store: store, Auth: auth.New(auth.Options{Mode: auth.ModeAccounts, Store: store}),
			Signup: auth.Signup(cfg.Auth.Signup), PublicURL: cfg.BaseURL(),
		}))
	})
}
