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
	User   string        `name:"user" required:"" placeholder:"USER" help:"Whose token: a user id, or the email of an account."`
	TTL    time.Duration `name:"ttl" default:"24h" placeholder:"DURATION" help:"How long it works. 24h when left out."`
	Create bool          `name:"create" help:"Make the user if there is none."`
}

// Help says where the token comes from.
func (tokenCmd) Help() string {
	return "With a JWT secret set it is a JWT signed with it. Otherwise it is a session in the\n" +
		"database, which must be the server's. The token is all that is printed:\n\n" +
		"  curl -H \"Authorization: Bearer $(chowk token --user bot --create)\" ..."
}

const maxTokenTTL = 10 * 365 * 24 * time.Hour

func (cmd tokenCmd) run(ctx context.Context, c invocation, cfg *Config) error {
	if cmd.TTL <= 0 || cmd.TTL > maxTokenTTL {
		return fmt.Errorf("--ttl is %s, but must be longer than 0s and at most %s", cmd.TTL, maxTokenTTL)
	}
	user := chat.UserID(cmd.User)
	isEmail := strings.Contains(cmd.User, "@")
	if !isEmail && !user.Valid() {
		return fmt.Errorf("--user is %q, but must be an email, or 1 to 64 characters out of A-Z a-z 0-9 _ . : -", cmd.User)
	}
	switch {
	case cfg.Auth.Mode == auth.ModeNone:
		if isEmail {
			return errors.New("auth is none, where a token is a user id, and an email is not one")
		}
		return c.print(cmd.User)
	case cfg.Auth.JWTSecret != "" && !isEmail && !cmd.Create:
		token, err := auth.MintJWT(cfg.Auth.JWTSecret, cfg.Auth.JWTIssuer, cfg.Auth.JWTAudience, user, time.Now(), cmd.TTL)
		if err != nil {
			return err
		}
		return c.print(token)
	}
	return c.withStore(ctx, cfg, func(store auth.Store) error {
		found, err := cmd.findUser(ctx, store)
		if err != nil {
			return err
		}
		var token string
		switch {
		case cfg.Auth.JWTSecret != "":
			token, err = auth.MintJWT(cfg.Auth.JWTSecret, cfg.Auth.JWTIssuer, cfg.Auth.JWTAudience, found, time.Now(), cmd.TTL)
		case cfg.Auth.Mode == auth.ModeJWT:
			err = errors.New("this server checks tokens with a public key; only the application that has the private key can make one")
		default:
			token, err = auth.OpenSession(ctx, store, found, time.Now(), cmd.TTL)
		}
		if err != nil {
			return err
		}
		return c.print(token)
	})
}

func (cmd tokenCmd) findUser(ctx context.Context, store auth.Store) (chat.UserID, error) {
	var account *model.Account
	var err error
	if strings.Contains(cmd.User, "@") {
		account, err = store.AccountByEmail(ctx, cmd.User)
	} else {
		account, err = store.Account(ctx, chat.UserID(cmd.User))
	}
	var e *chat.Error
	switch notFound := errors.As(err, &e) && e.Code == chat.NotFound; {
	case err == nil && !account.IsActive:
		return "", fmt.Errorf("%s is disabled", cmd.User)
	case err == nil:
		return account.ID, nil
	case !notFound:
		return "", fmt.Errorf("look up user: %w", err)
	case !cmd.Create:
		return "", fmt.Errorf("there is no user %s; --create makes one", cmd.User)
	case strings.Contains(cmd.User, "@"):
		return "", errors.New("--create makes users by id; an account with an email is made by signing up")
	}
	u, err := store.EnsureUser(ctx, chat.User{
		ID: chat.UserID(cmd.User), Name: cmd.User, IsActive: true, CreatedAt: chat.TimeOf(time.Now()),
	})
	if err != nil {
		return "", fmt.Errorf("make user: %w", err)
	}
	return u.ID, nil
}

type inviteCmd struct {
	Uses int           `name:"uses" default:"1" placeholder:"N" help:"How many people it lets in. 1 when left out."`
	TTL  time.Duration `name:"ttl" default:"168h" placeholder:"DURATION" help:"How long it works. A week when left out."`
	By   string        `name:"by" placeholder:"EMAIL" help:"The account that invites. None when left out."`
}

// Help says when it is of use.
func (inviteCmd) Help() string {
	return "Who has the link can make an account, also when auth.signup is invite."
}

func (cmd inviteCmd) run(ctx context.Context, c invocation, cfg *Config) error {
	return c.withAccounts(ctx, cfg, func(a *auth.Accounts) error {
		var by chat.UserID
		if cmd.By != "" {
			account, err := a.Store.AccountByEmail(ctx, cmd.By)
			if err != nil {
				return fmt.Errorf("look up account of --by: %w", err)
			}
			by = account.ID
		}
		link, err := a.CreateInvitation(ctx, by, auth.InviteRequest{Uses: cmd.Uses, ExpiresIn: int(cmd.TTL / time.Second)})
		if err != nil {
			return err
		}
		return c.print(link.Link)
	})
}

type resetCmd struct {
	User string `name:"user" required:"" placeholder:"EMAIL" help:"The account's email."`
}

// Help says how to hand it over.
func (resetCmd) Help() string {
	return "The link works once, for an hour. Whoever has it has the account: give it to its\nowner by a way that nobody else reads."
}

func (cmd resetCmd) run(ctx context.Context, c invocation, cfg *Config) error {
	return c.withAccounts(ctx, cfg, func(a *auth.Accounts) error {
		link, err := a.CreateResetLink(ctx, cmd.User)
		if err != nil {
			return err
		}
		return c.print(link.Link)
	})
}

func (c invocation) print(line string) error {
	_, err := fmt.Fprintln(c.out, line)
	return err
}

func (c invocation) withStore(ctx context.Context, cfg *Config, do func(auth.Store) error) error {
	store, closeStore, err := c.openStore(ctx, *cfg)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return errors.Join(do(store), closeStore())
}

func (c invocation) withAccounts(ctx context.Context, cfg *Config, do func(*auth.Accounts) error) error {
	if cfg.Auth.Mode != auth.ModeAccounts {
		return fmt.Errorf("auth is %s: this server has no accounts of its own", cfg.Auth.Mode)
	}
	return c.withStore(ctx, cfg, func(store auth.Store) error {
		return do(auth.NewAccounts(auth.AccountsOptions{
			Store: store, Auth: auth.New(auth.Options{Mode: cfg.Auth.Mode, Store: store}),
			Signup: cfg.Auth.Signup, PublicURL: cfg.BaseURL(),
		}))
	})
}
