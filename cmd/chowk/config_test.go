package main

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/store"
)

// load reads settings in an empty directory, with a chowk.yaml if there is one.
func load(t *testing.T, yaml string, environ []string, flags map[string]string) (Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if yaml != "" {
		if err := os.WriteFile("chowk.yaml", []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loadConfig(flags, environ, "")
}

func TestTheLinesOfConfigAreSound(t *testing.T) {
	c, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	seen := make(map[string]bool)
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?$`)
	for _, s := range settings() {
		if !name.MatchString(s.name) || s.help == "" || !strings.HasSuffix(s.help, ".") {
			t.Errorf("%s: name or help", s.name)
		}
		for _, key := range []string{s.env, "--" + s.name} {
			if seen[key] {
				t.Errorf("%s stands for two settings", key)
			}
			seen[key] = true
		}
		numeric := s.typ.Kind() == reflect.Int || s.typ.Kind() == reflect.Int64 || s.typ.Kind() == reflect.Float64
		if numeric != (s.min != "" && s.max != "") {
			t.Errorf("%s: every number has bounds, and nothing else", s.name)
		}
		for _, bound := range []string{s.min, s.max} {
			if field := reflect.ValueOf(&c).Elem().FieldByIndex(s.index); bound != "" {
				if err := s.set(field, bound); err != nil {
					t.Errorf("%s: its bound %s is refused: %v", s.name, bound, err)
				}
			}
		}
		if (strings.Contains(s.name, "secret") || (strings.HasSuffix(s.name, "-url") || strings.HasSuffix(s.name, ".url")) && s.name != "public-url") != (s.secret != "") {
			t.Errorf("%s: is it a secret?", s.name)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.DatabaseURL != "sqlite:chowk-data/chowk.db" || c.Auth.Mode != auth.ModeAccounts ||
		c.Pool.Size != 10 || c.Pool.Overflow != 20 || c.Pool.BackgroundTimeout != 30*time.Second || c.Ring.Bytes != 64<<20 ||
		c.Limits.MessageBytes != 65536 || c.Auth.SessionTTL != 720*time.Hour || c.BaseURL() != "http://127.0.0.1:8080" {
		t.Errorf("%+v", c)
	}
}

func TestPrecedence(t *testing.T) {
	const yaml = "pool:\n  size: 2\n"
	env := []string{"CHOWK_POOL_SIZE=3", "PATH=/bin", "OTHER_POOL_SIZE=9"}
	flag := map[string]string{"pool.size": "4"}
	for _, c := range []struct {
		name, yaml string
		env        []string
		flags      map[string]string
		want       int
		from       source
	}{
		{"default", "", nil, nil, 10, source{"default", "the default"}},
		{"file", yaml, nil, nil, 2, source{"file", "chowk.yaml:2"}},
		{"environment over file", yaml, env, nil, 3, source{"env", "CHOWK_POOL_SIZE"}},
		{"flag over environment", yaml, env, flag, 4, source{"flag", "--pool.size"}},
		{"flag over file", yaml, nil, flag, 4, source{"flag", "--pool.size"}},
		{"environment over default", "", env, nil, 3, source{"env", "CHOWK_POOL_SIZE"}},
		{"an empty variable is none", yaml, []string{"CHOWK_POOL_SIZE="}, nil, 2, source{"file", "chowk.yaml:2"}},
		{"an empty value in the file is the default", "pool:\n  size:\n", nil, nil, 10, source{"default", "the default"}},
		{"dots in the file", "pool.size: 2\n", nil, nil, 2, source{"file", "chowk.yaml:1"}},
	} {
		got, err := load(t, c.yaml, c.env, c.flags)
		if err != nil || got.Pool.Size != c.want || got.sources["pool.size"] != c.from {
			t.Errorf("%s: %d from %+v, %v", c.name, got.Pool.Size, got.sources["pool.size"], err)
		}
	}
}

func TestEveryKindOfValueFromEverySource(t *testing.T) {
	check := func(what string, c Config, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !c.Compat.CampusPanditPage || c.Heartbeat != 45*time.Second || c.Ring.Bytes != 1<<20 || c.Limits.Sockets != 7 ||
			!slices.Equal(c.Origins, []string{"https://a.example", "http://b.example:81"}) || len(c.TrustedProxies) != 2 ||
			c.TrustedProxies[0].String() != "10.0.0.0/8" || c.TrustedProxies[1].String() != "192.0.2.1/32" || c.Auth.Mode != auth.ModeNone {
			t.Errorf("%s: %+v", what, c)
		}
	}
	c, err := load(t, `
auth:
  mode: none
compat: { campuspandit-page: yes }
heartbeat: "45s"
ring: {bytes: 1048576}
limits:
  sockets: 7 # seven
origins:
  - https://A.example
  - http://b.example:81
trusted-proxies: 10.1.2.3/8,192.0.2.1
`, nil, nil)
	check("file", c, err)
	c, err = load(t, "", []string{
		"CHOWK_AUTH=none", "CHOWK_COMPAT_CAMPUSPANDIT_PAGE=1", "CHOWK_HEARTBEAT=45s", "CHOWK_RING_BYTES=1MiB", "CHOWK_LIMITS_SOCKETS=7",
		"CHOWK_ORIGINS=https://a.example, http://b.example:81", "CHOWK_TRUSTED_PROXIES=10.0.0.0/8 ,192.0.2.1",
	}, nil)
	check("environment", c, err)
}

func TestBadSettingsStopTheStart(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		env        []string
		flags      map[string]string
		says       string
	}{
		{"unknown variable", "", []string{"CHOWK_POOL_SISE=1"}, nil, "CHOWK_POOL_SISE: no such setting; did you mean CHOWK_POOL_SIZE?"},
		{"unknown variable, like nothing", "", []string{"CHOWK_FROBNICATE_QUICKLY=1"}, nil, "CHOWK_FROBNICATE_QUICKLY: no such setting; `chowk config` lists them all"},
		{"unknown key", "\npool:\n  sise: 1\n", nil, nil, "chowk.yaml:3: pool.sise: no such setting; did you mean pool.size?"},
		{"unknown group", "pools:\n  size: 1\n", nil, nil, "chowk.yaml:1: pools: no such setting; `chowk config` lists them all"},
		{"swapped letters", "lisetn: :80\n", nil, nil, "chowk.yaml:1: lisetn: no such setting; did you mean listen?"},
		{"group as a value", "pool: 7\n", nil, nil, "chowk.yaml:1: pool: no such setting; `chowk config` lists them all"},
		{"twice", "pool.size: 1\npool:\n  size: 2\n", nil, nil, "chowk.yaml:3: pool.size is set twice"},
		{"key twice", "listen: :1\nlisten: :2\n", nil, nil, `chowk.yaml:2: mapping key "listen" already defined at [1:1]`},
		{"not a mapping", "- listen\n", nil, nil, "chowk.yaml:1: expected settings such as `listen: 127.0.0.1:8080`"},
		{"two documents", "listen: :1\n---\nlisten: :2\n", nil, nil, "chowk.yaml:3: one document is enough: everything after --- would be ignored"},
		{"anchor", "listen: &a :1\npublic-url: *a\n", nil, nil, "chowk.yaml:1: listen must be a plain value or a list of them\nchowk.yaml:2: public-url must be a plain value or a list of them"},
		{"number", "pool.size: many", nil, nil, `chowk.yaml:1: pool.size is "many", but must be a whole number from 1 to 1000`},
		{"fraction", "pool.size: 1.5", nil, nil, `chowk.yaml:1: pool.size is "1.5", but must be a whole number from 1 to 1000`},
		{"too small", "", []string{"CHOWK_POOL_SIZE=0"}, nil, `CHOWK_POOL_SIZE: pool.size is "0", but must be a whole number from 1 to 1000`},
		{"too large", "", nil, map[string]string{"pool.size": "1001"}, `--pool.size: pool.size is "1001", but must be a whole number from 1 to 1000`},
		{"overflow", "", nil, map[string]string{"limits.sockets": "99999999999999999999"}, `--limits.sockets: limits.sockets is "99999999999999999999", but must be a whole number from 0 to 10000000`},
		{"duration without unit", "heartbeat: 30", nil, nil, `chowk.yaml:1: heartbeat is "30", but must be a duration such as 30s or 5m, from 1s to 10m`},
		{"size", "ring.bytes: 64MB", nil, nil, `chowk.yaml:1: ring.bytes is "64MB", but must be a size such as 65536 or 64KiB, from 1MiB to 64GiB`},
		{"size that overflows", "ring.bytes: 9999999999999GiB", nil, nil, `chowk.yaml:1: ring.bytes is "9999999999999GiB", but must be a size such as 65536 or 64KiB, from 1MiB to 64GiB`},
		{"choice", "", []string{"CHOWK_AUTH=ldap"}, nil, `CHOWK_AUTH: auth is "ldap", but must be one of accounts, jwt, none`},
		{"yes or no", "", []string{"CHOWK_COMPAT_CAMPUSPANDIT_PAGE=maybe"}, nil, `CHOWK_COMPAT_CAMPUSPANDIT_PAGE: compat.campuspandit-page is "maybe", but must be true or false`},
		{"address", "listen: localhost", nil, nil, `chowk.yaml:1: listen is "localhost", but must be an address and port such as 127.0.0.1:8080 or :8080`},
		{"port", "listen: :99999", nil, nil, `chowk.yaml:1: listen is ":99999", but must be an address and port such as 127.0.0.1:8080 or :8080`},
		{"empty flag", "", nil, map[string]string{"listen": ""}, `--listen: listen is "", but must be an address and port such as 127.0.0.1:8080 or :8080`},
		{"public URL", "public-url: chat.example.org", nil, nil, `chowk.yaml:1: public-url is "chat.example.org", but must be a URL without a path, such as https://chat.example.org`},
		{"origin", "origins: [https://ok.example, '*']", nil, nil, `chowk.yaml:1: origins is "https://ok.example,*", but must be a list of which each is an origin: scheme, host and maybe port, such as https://app.example.org`},
		{"network", "trusted-proxies: proxy", nil, nil, `chowk.yaml:1: trusted-proxies is "proxy", but must be a list of networks such as 10.0.0.0/8 or addresses such as 192.0.2.1`},
		{"database", "database-url: mysql://root:hush@db/x", nil, nil, "chowk.yaml:1: database-url is not shown here, but must be postgres://user:password@host:5432/name or sqlite:path"},
		{"smtp", "mail.smtp-url: http://u:hush@mail", nil, nil, "chowk.yaml:1: mail.smtp-url is not shown here, but must be smtp://user:password@host:587 or smtps://user:password@host:465"},
		{"collector", "trace.endpoint: localhost:4318", nil, nil, `chowk.yaml:1: trace.endpoint is "localhost:4318", but must be a URL such as http://127.0.0.1:4318, whose credentials, if any, are in OTEL_EXPORTER_OTLP_HEADERS`},
		{"ratio", "", []string{"CHOWK_TRACE_RATIO=2"}, nil, `CHOWK_TRACE_RATIO: trace.ratio is "2", but must be a number from 0 to 1`},
		{"no ratio", "", []string{"CHOWK_TRACE_RATIO=NaN"}, nil, `CHOWK_TRACE_RATIO: trace.ratio is "NaN", but must be a number from 0 to 1`},
		{"sender", "mail.from: nobody", nil, nil, `chowk.yaml:1: mail.from is "nobody", but must be an address such as chat@example.org or Chat <chat@example.org>`},
		{"jwks", "auth.jwks-url: ftp://x/y", nil, nil, "chowk.yaml:1: auth.jwks-url is not shown here, but must be an https:// URL or a file"},
		{"none for others", "", nil, map[string]string{"auth": "none", "listen": "0.0.0.0:80"}, `--auth: auth is "none", which lets everybody be anybody, but listen is "0.0.0.0:80", which others can reach; listen on 127.0.0.1, choose accounts or jwt, or set --auth.allow-insecure`},
		{"jwt without a key", "", []string{"CHOWK_AUTH=jwt"}, nil, `CHOWK_AUTH: auth is "jwt", but nothing says how to check tokens; set one of auth.jwt-secret (best as CHOWK_AUTH_JWT_SECRET), auth.jwt-key-file, auth.jwks-url`},
		{"none with a key", "auth: {mode: none, jwt-key-file: k}", nil, nil, `chowk.yaml:1: auth is "none", but a JWT secret or key is set; choose jwt, or take it away`},
		{"two kinds of keys", "auth: {jwks-url: https://x/y, jwt-key-file: k}", nil, nil, "chowk.yaml:1: auth.jwt-key-file and auth.jwks-url are both set; choose one"},
		{"issuer without a key", "auth.jwt-issuer: host", nil, nil, `chowk.yaml:1: auth.jwt-issuer is "host", but no JWT is accepted; set auth.jwt-secret, auth.jwt-key-file or auth.jwks-url as well`},
		{"half of TLS", "tls.cert-file: c.pem", nil, nil, `tls.cert-file is "c.pem" and tls.key-file is ""; set both or none`},
		{"mail without a sender", "mail.smtp-url: smtp://m\npublic-url: https://c.example", nil, nil, "chowk.yaml:1: mail.smtp-url is set, but mail.from, the sender, is not"},
		{"mail without an address for links", "mail: {smtp-url: smtp://m, from: a@b.example}", nil, nil, "chowk.yaml:1: mail.smtp-url is set, but public-url, where links in mails lead, is not"},
		{"other nodes and SQLite", "relay.listen: 127.0.0.1:6222", nil, nil, "chowk.yaml:1: relay.listen is set, but the database is an SQLite file, which one node alone can use; set database-url to a postgres:// one, or take it away"},
		{"a secret for no nodes", "database-url: postgres://db/x", []string{"CHOWK_RELAY_SECRET=0123456789abcdef"}, nil, "CHOWK_RELAY_SECRET: relay.secret is set, but neither relay.listen nor relay.url says how nodes hear each other; set one of them"},
		{"two relays", "database-url: postgres://db/x\nrelay: {listen: 127.0.0.1:6222, url: nats://n}", nil, nil, `chowk.yaml:2: relay.listen is "127.0.0.1:6222" and relay.url is set too; choose one`},
		{"routes to a NATS elsewhere", "database-url: postgres://db/x\nrelay: {url: nats://n, routes: 'a:1'}", nil, nil, `chowk.yaml:2: relay.routes is "a:1", but with relay.url the nodes meet there; take it away`},
		{"no secret between machines", "database-url: postgres://db/x\nrelay.listen: :6222", nil, nil, `chowk.yaml:2: relay.listen is ":6222", which others can reach, or relay.routes leads to other machines, but relay.secret is not set; set it, best as CHOWK_RELAY_SECRET, the same on all nodes`},
		{"a short secret", "database-url: postgres://db/x\nrelay: {listen: ':6222', secret: hush}", nil, nil, "chowk.yaml:2: relay.secret is not shown here, but must be 16 characters or more, without spaces"},
		{"a node without a port", "database-url: postgres://db/x\nrelay: {listen: ':6222', secret: 0123456789abcdef, routes: [chowk-nodes]}", nil, nil, `chowk.yaml:2: relay.routes is "chowk-nodes", but must be a list of which each is a node's host and port such as chowk-nodes:6222`},
		{"a relay of another kind", "database-url: postgres://db/x\nrelay.url: redis://u:hush@r", nil, nil, "chowk.yaml:2: relay.url is not shown here, but must be a list of which each is nats://host:4222 or tls://user:password@host:4222"},
		{"nodes with half a certificate", "database-url: postgres://db/x\nrelay: {listen: '127.0.0.1:1', tls-cert-file: c, tls-key-file: k}", nil, nil, `relay.tls-cert-file is "c" and relay.tls-ca-file is ""; nodes prove themselves to each other: set both or none`},
		{"drain", "drain.window: 20s", nil, nil, "drain.window is 20s and drain.timeout is 20s; the window must be the shorter"},
		{"all at once", "pool:\n  size: x\n  overflow: y\n", []string{"CHOWK_X_Y_Z_TT=1"}, nil, "CHOWK_X_Y_Z_TT: no such setting; `chowk config` lists them all\n" +
			`chowk.yaml:2: pool.size is "x", but must be a whole number from 1 to 1000` + "\n" + `chowk.yaml:3: pool.overflow is "y", but must be a whole number from 0 to 1000`},
	} {
		_, err := load(t, c.yaml, c.env, c.flags)
		if err == nil || err.Error() != c.says {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.says)
		}
	}
}

func TestD56AGuessableSecretStopsTheStart(t *testing.T) {
	for _, secret := range []string{"your-secret-key-change-in-production", "hush-hush"} {
		_, err := load(t, "", []string{"CHOWK_AUTH_JWT_SECRET=" + secret}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "CHOWK_AUTH_JWT_SECRET: auth.jwt-secret is not shown here, but must be hard to guess: ") || strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	}
}

func TestContradictionsThatAreNone(t *testing.T) {
	for _, flags := range []map[string]string{
		{"auth": "none", "listen": "127.0.0.1:1"},
		{"auth": "none", "listen": "localhost:1"},
		{"auth": "none", "listen": "[::1]:1"},
		{"auth": "none", "listen": ":1", "auth.allow-insecure": "true"},
		{"auth": "jwt", "auth.jwks-url": "https://host.example/keys"},
		{"auth": "jwt", "auth.jwks-url": "/etc/keys.json"},
		{"auth": "jwt", "auth.jwt-secret": testSecret, "auth.jwt-key-file": "k.pem", "auth.jwt-issuer": "host"},
		{"auth.jwt-secret": testSecret},
		{"mail.smtp-url": "smtp://m", "mail.from": "Chat <a@b.example>", "public-url": "https://c.example/"},
		{"database-url": "postgresql://u:p@h/db?sslmode=verify-full"},
		{"database-url": "sqlite:/x/y.db"},
		{"database-url": "postgres://db/x", "relay.listen": "127.0.0.1:6222", "relay.routes": "127.0.0.1:6223,localhost:6224"},
		{"database-url": "postgres://db/x", "relay.listen": ":6222", "relay.routes": "chowk-nodes:6222", "relay.secret": "0123456789abcdef"},
		{"database-url": "postgres://db/x", "relay.url": "nats://u:p@a:4222, tls://b", "relay.tls-ca-file": "ca.pem"},
	} {
		if _, err := load(t, "", nil, flags); err != nil {
			t.Errorf("%v: %v", flags, err)
		}
	}
}

// A Kubernetes service called chowk puts these into every container beside it.
func TestServiceLinksAreNoSettings(t *testing.T) {
	_, err := load(t, "", []string{
		"CHOWK_SERVICE_HOST=10.0.0.1", "CHOWK_SERVICE_PORT=80", "CHOWK_SERVICE_PORT_HTTP=80", "CHOWK_PORT=tcp://10.0.0.1:80",
		"CHOWK_PORT_80_TCP=tcp://10.0.0.1:80", "CHOWK_PORT_80_TCP_PROTO=tcp", "CHOWK_PORT_80_TCP_PORT=80", "CHOWK_PORT_80_TCP_ADDR=10.0.0.1",
		"CHOWK_POSTGRES_SERVICE_HOST=10.0.0.2", "CHOWK_POSTGRES_PORT=tcp://10.0.0.2:5432", "CHOWK_POSTGRES_PORT_5432_TCP=tcp://10.0.0.2:5432",
	}, nil)
	if err != nil {
		t.Error(err)
	}
	if _, err := load(t, "", []string{"CHOWK_PORT=8080"}, nil); err == nil {
		t.Error("CHOWK_PORT=8080 was passed over; somebody meant it")
	}
}

func TestNamedFilesMustExist(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, f := range []func() error{
		func() error { _, err := loadConfig(nil, nil, "no.yaml"); return err },
		func() error { _, err := loadConfig(nil, []string{"CHOWK_CONFIG=no.yaml"}, ""); return err },
	} {
		if err := f(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no.yaml") {
			t.Error(err)
		}
	}
	if err := os.WriteFile("my.yaml", []byte("listen: :9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(nil, []string{"CHOWK_CONFIG=my.yaml"}, "")
	if err != nil || c.Listen != ":9" || c.sources["listen"].Where != "my.yaml:1" {
		t.Error(c.Listen, err)
	}
}

func TestNoSecretInAnyOutput(t *testing.T) {
	const hush = "hUsh5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"
	everything := []string{
		"CHOWK_AUTH_JWT_SECRET=" + hush, "CHOWK_DATABASE_URL=postgres://u:" + hush + "@db/x?sslpassword=" + hush + "&sslmode=disable",
		"CHOWK_AUTH_JWKS_URL=https://u:" + hush + "@host.example/keys?token=" + hush, "CHOWK_MAIL_SMTP_URL=smtp://u:" + hush + "@mail.example",
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
		_, out, errOut := call(t, newBooks(), everything, args...)
		if strings.Contains(out+errOut, "hUsh") {
			t.Errorf("%v:\n%s%s", args, out, errOut)
		}
		if strings.HasPrefix(args[0], "config") && len(args) < 3 && !strings.Contains(out, "postgres://u:********@db/x?sslpassword=********&sslmode=disable") {
			t.Errorf("%v: too much is hidden:\n%s", args, out)
		}
	}
	for _, yaml := range []string{
		"auth:\n  jwt-secret: " + hush + "\n listen: x\n", "auth.jwt-secret: \"" + hush + "\nx", "auth.jwt-secret: [" + hush, "auth.jwt-secret: {a: " + hush + "}",
		"auth.jwt-secret: &a " + hush, "mail.smtp-url: !!binary " + hush, "auth.jwt-secret: |\n  " + hush + "\n\tx: 1\n",
	} {
		_, err := load(t, yaml, nil, nil)
		if err != nil && strings.Contains(err.Error(), "hUsh") {
			t.Errorf("%q: %v", yaml, err)
		}
	}
}

func TestConfigAsJSON(t *testing.T) {
	_, out, _ := call(t, newBooks(), []string{"CHOWK_ORIGINS=https://a.example"}, "config", "--json", "--pool.background-timeout", "90s")
	var all []shownSetting
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(settings()) {
		t.Errorf("%d settings", len(all))
	}
	for _, s := range all {
		var want shownSetting
		switch s.Name {
		case "pool.background-timeout":
			want = shownSetting{s.Name, "1m30s", "flag", "--pool.background-timeout"}
		case "origins":
			want = shownSetting{s.Name, []any{"https://a.example"}, "env", "CHOWK_ORIGINS"}
		case "pool.size":
			want = shownSetting{s.Name, 10.0, "default", "the default"}
		default:
			continue
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%+v", s)
		}
	}
}

func TestFlagSpellings(t *testing.T) {
	for _, args := range [][]string{
		{"--pool.size=7"}, {"--pool.size", "7"}, {"--pool-size=7"},
	} {
		_, out, errOut := call(t, newBooks(), nil, append([]string{"config"}, args...)...)
		if !regexp.MustCompile(`pool.size +7 +--pool.size`).MatchString(out) {
			t.Errorf("%v: %s", args, errOut)
		}
	}
	for _, c := range []struct{ want, flag string }{
		{`auth.allow-insecure +true +--auth.allow-insecure`, "--auth-allow-insecure"},
		{`auth.allow-insecure +true +--auth.allow-insecure`, "--auth.allow-insecure"},
		{`auth.allow-insecure +false +--auth.allow-insecure`, "--auth-allow-insecure=false"},
		{`origins +https://a.example,https://b.example +--origins`, "--origins=https://a.example,https://b.example"},
	} {
		_, out, errOut := call(t, newBooks(), nil, "config", c.flag)
		if !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: %s %s", c.flag, out, errOut)
		}
	}
	_, out, _ := call(t, newBooks(), nil, "config", "--origins=https://a.example", "--origins=https://b.example")
	if !strings.Contains(out, "https://a.example,https://b.example") {
		t.Error(out)
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{"listen: :1", "pool:\n  size: 1", "auth: {mode: jwt}", "a: [1, {b: c}]", "- x", "&a *a", "? x\n: y", "\xff", "a:\n- b\n -", "{", "!!map {}", "<<: *x"} {
		f.Add(seed)
	}
	all := settings()
	f.Fuzz(func(t *testing.T, text string) {
		r := fileReader{path: "f", all: all, found: make(map[string]given)}
		r.read([]byte(text)) // whatever it says, it does not panic
		for _, p := range r.problems {
			if !strings.HasPrefix(p.Error(), "f:") {
				t.Errorf("a complaint without its line: %v", p)
			}
		}
	})
}

// TestThePoolIsAsItIsSet: every setting of it gets to the store.
func TestThePoolIsAsItIsSet(t *testing.T) {
	var c Config
	p := &c.Pool
	p.Size, p.Overflow, p.RequestTimeout, p.BackgroundTimeout, p.MaxLifetime, p.MaxIdleTime = 1, 2, 3, 4, 5, 6
	want := store.Pool{Size: 1, Overflow: 2, RequestTimeout: 3, BackgroundTimeout: 4, MaxLifetime: 5, MaxIdleTime: 6}
	if got := storeOptions(c).Pool; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if set, known := reflect.TypeFor[store.Pool]().NumField(), reflect.TypeOf(c.Pool).NumField(); set != known {
		t.Errorf("the store's pool has %d fields, and there are settings for %d", set, known)
	}
}
