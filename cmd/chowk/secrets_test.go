package main

import (
	"strings"
	"testing"
)

func TestNoSecretInAnyOutput(t *testing.T) {
	const hush = "hUsh5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"
	environ := []string{
		"CHOWK_AUTH_JWT_SECRET=" + hush,
		"CHOWK_DATABASE_URL=postgres://u:" + hush + "@db/x?sslpassword=" + hush + "&sslmode=disable",
		"CHOWK_AUTH_JWKS_URL=https://u:" + hush + "@host.example/keys?token=" + hush,
		"CHOWK_MAIL_SMTP_URL=smtp://u:" + hush + "@mail.example",
		"CHOWK_MAIL_FROM=a@b.example", "CHOWK_PUBLIC_URL=https://c.example",
	}
	for _, args := range [][]string{
		{"config"},
		{"config", "--json"},
		{"config", "--pool.size", "0"},
		{"serve", "--listen", ":80"},
		{"serve", "--drain.window", "9m"},
		{"config", "--auth.jwt-key-file", "x"},
		{"token", "--user", "a/b"},
		{"config", "--auth", "none"},
		{"frob"},
		{"config", "--database-url", "mysql://" + hush},
		{"config", "--database-url", "postgres://u:" + hush + "@h:port/%zz"},
		{"config", "--mail.smtp-url", hush},
		{"config", "--auth.jwt-secret", hush[:20]},
		{"config", "--auth.jwks-url", "ftp://" + hush},
	} {
		_, out, errOut := call(t, newRecords(), environ, args...)
		if strings.Contains(out+errOut, "hUsh") {
			t.Errorf("%v prints a secret:\n%s%s", args, out, errOut)
		}
		const masked = "postgres://u:********@db/x?sslpassword=********&sslmode=disable"
		if strings.HasPrefix(args[0], "config") && len(args) < 3 && !strings.Contains(out, masked) {
			t.Errorf("%v hides more than secrets:\n%s", args, out)
		}
	}
}

func TestNoSecretInErrorsAboutTheFile(t *testing.T) {
	const hush = "hUsh5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"
	for _, yaml := range []string{
		"auth:\n  jwt-secret: " + hush + "\n listen: x\n",
		"auth.jwt-secret: \"" + hush + "\nx",
		"auth.jwt-secret: [" + hush,
		"auth.jwt-secret: {a: " + hush + "}",
		"auth.jwt-secret: &a " + hush,
		"mail.smtp-url: !!binary " + hush,
		"auth.jwt-secret: |\n  " + hush + "\n\tx: 1\n",
	} {
		_, err := load(t, yaml, nil, nil)
		if err != nil && strings.Contains(err.Error(), "hUsh") {
			t.Errorf("%q: the error holds the secret: %v", yaml, err)
		}
	}
}
