package main

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk"
)

// load reads settings in an empty directory, with a chowk.yaml if yaml is not "".
func load(t *testing.T, yaml string, environ []string, flags map[string]string) (config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if yaml != "" {
		if err := os.WriteFile("chowk.yaml", []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loadConfig(flags, environ, "")
}

func TestPrecedence(t *testing.T) {
	const yaml = "pool:\n  size: 2\n"
	env := []string{"CHOWK_POOL_SIZE=3", "PATH=/bin", "OTHER_POOL_SIZE=9"}
	flag := map[string]string{"pool.size": "4"}
	byDefault := source{fromDefault, "the default"}
	for _, c := range []struct {
		name, yaml string
		env        []string
		flags      map[string]string
		want       int
		from       source
	}{
		{"default", "", nil, nil, 10, byDefault},
		{"file", yaml, nil, nil, 2, source{inFile, "chowk.yaml:2"}},
		{"environment over file", yaml, env, nil, 3, source{inEnv, "CHOWK_POOL_SIZE"}},
		{"flag over environment", yaml, env, flag, 4, source{onLine, "--pool.size"}},
		{"flag over file", yaml, nil, flag, 4, source{onLine, "--pool.size"}},
		{"environment over default", "", env, nil, 3, source{inEnv, "CHOWK_POOL_SIZE"}},
		{"an empty variable is absent", yaml, []string{"CHOWK_POOL_SIZE="}, nil, 2, source{inFile, "chowk.yaml:2"}},
		{"an empty value in the file is absent", "pool:\n  size:\n", nil, nil, 10, byDefault},
		{"dots in the file", "pool.size: 2\n", nil, nil, 2, source{inFile, "chowk.yaml:1"}},
	} {
		got, err := load(t, c.yaml, c.env, c.flags)
		if from := got.sources["pool.size"]; err != nil || got.Pool.Size != c.want || from != c.from {
			t.Errorf("%s: got %d from %+v (%v), want %d from %+v", c.name, got.Pool.Size, from, err, c.want, c.from)
		}
	}
}

// TestEachKindOfValueFromEachSource: flags are text, as variables are.
func TestEachKindOfValueFromEachSource(t *testing.T) {
	fromFile, err := load(t, `
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
trace.ratio: 0.5
trusted-proxies: 10.1.2.3/8,192.0.2.1
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromEnv, err := load(t, "", []string{
		"CHOWK_AUTH=none", "CHOWK_COMPAT_CAMPUSPANDIT_PAGE=1", "CHOWK_HEARTBEAT=45s", "CHOWK_RING_BYTES=1MiB",
		"CHOWK_LIMITS_SOCKETS=7", "CHOWK_ORIGINS=https://a.example, http://b.example:81", "CHOWK_TRACE_RATIO=.5",
		"CHOWK_TRUSTED_PROXIES=10.0.0.0/8 ,192.0.2.1",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"auth": "none", "compat.campuspandit-page": true, "heartbeat": "45s", "ring.bytes": "1MiB", "limits.sockets": 7,
		"origins": []string{"https://a.example", "http://b.example:81"}, "trace.ratio": 0.5,
		"trusted-proxies": []string{"10.0.0.0/8", "192.0.2.1/32"},
	}
	for from, c := range map[string]config{"file": fromFile, "environment": fromEnv} {
		got := make(map[string]any)
		for _, s := range allSettings() {
			if _, ok := want[s.Name]; ok {
				got[s.Name] = s.Shown(&c.Config)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", from, diff)
		}
	}
}

// refusal is a case of testdata/refused.txt.
type refusal struct {
	name  string
	yaml  string
	env   []string
	flags map[string]string
	want  string
}

func refusals(t *testing.T) (all []refusal) {
	t.Helper()
	b, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
		lines := strings.Split(block, "\n")
		r := refusal{name: lines[0], flags: make(map[string]string)}
		for _, line := range lines[1:] {
			kind, text, _ := strings.Cut(line, "|")
			switch strings.TrimSpace(kind) {
			case "file":
				r.yaml += text + "\n"
			case "env":
				r.env = append(r.env, text)
			case "flag":
				name, value, _ := strings.Cut(text, "=")
				r.flags[name] = value
			case "says":
				r.want = strings.TrimPrefix(r.want+"\n"+text, "\n")
			default:
				t.Fatalf("%s: %q is not a line of a case", r.name, line)
			}
		}
		all = append(all, r)
	}
	return all
}

// TestBadSettingsStopTheStart: after a wanted change of a text, UPDATE=1 writes what the
// errors are now.
func TestBadSettingsStopTheStart(t *testing.T) {
	file, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	file += "/testdata/refused.txt"
	var updated strings.Builder
	for _, c := range refusals(t) {
		_, err := load(t, c.yaml, c.env, c.flags)
		if err == nil {
			t.Errorf("%s: not refused", c.name)
			continue
		}
		if os.Getenv("UPDATE") == "" && err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
		updated.WriteString(c.format(err))
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(updated.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// format writes the case as it is in the file, with err as its text.
func (r refusal) format(err error) string {
	var b strings.Builder
	lines := func(kind, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString("  " + kind + " |" + line + "\n")
		}
	}
	b.WriteString(r.name + "\n")
	if r.yaml != "" {
		lines("file", strings.TrimSuffix(r.yaml, "\n"))
	}
	for _, e := range r.env {
		lines("env ", e)
	}
	for _, s := range allSettings() {
		if value, ok := r.flags[s.Name]; ok {
			lines("flag", s.Name+"="+value)
		}
	}
	lines("says", err.Error())
	return b.String() + "\n"
}

func TestD56AGuessableSecretStopsTheStart(t *testing.T) {
	for _, secret := range []string{"your-secret-key-change-in-production", "hush-hush"} {
		_, err := load(t, "", []string{"CHOWK_AUTH_JWT_SECRET=" + secret}, nil)
		const want = "CHOWK_AUTH_JWT_SECRET must be hard to guess: "
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("got error %v, want %s…", err, want)
		}
	}
}

func TestSettingsThatGoTogether(t *testing.T) {
	const pg = "postgres://db/x"
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
		{"database-url": pg, "relay.listen": "127.0.0.1:6222", "relay.routes": "127.0.0.1:6223,localhost:6224"},
		{
			"database-url": pg, "relay.listen": ":6222", "relay.routes": "chowk-nodes:6222",
			"relay.secret": "0123456789abcdef",
		},
		{"database-url": pg, "relay.url": "nats://u:p@a:4222, tls://b", "relay.tls-ca-file": "ca.pem"},
	} {
		if _, err := load(t, "", nil, flags); err != nil {
			t.Errorf("%v: %v", flags, err)
		}
	}
}

// TestServiceLinksAreNotSettings: a Kubernetes service called chowk puts these into each
// container next to it.
func TestServiceLinksAreNotSettings(t *testing.T) {
	_, err := load(t, "", []string{
		"CHOWK_SERVICE_HOST=10.0.0.1", "CHOWK_SERVICE_PORT=80", "CHOWK_SERVICE_PORT_HTTP=80",
		"CHOWK_PORT=tcp://10.0.0.1:80", "CHOWK_PORT_80_TCP=tcp://10.0.0.1:80", "CHOWK_PORT_80_TCP_PROTO=tcp",
		"CHOWK_PORT_80_TCP_PORT=80", "CHOWK_PORT_80_TCP_ADDR=10.0.0.1", "CHOWK_POSTGRES_SERVICE_HOST=10.0.0.2",
		"CHOWK_POSTGRES_PORT=tcp://10.0.0.2:5432", "CHOWK_POSTGRES_PORT_5432_TCP=tcp://10.0.0.2:5432",
	}, nil)
	if err != nil {
		t.Error(err)
	}
	if _, err := load(t, "", []string{"CHOWK_PORT=8080"}, nil); err == nil {
		t.Error("CHOWK_PORT=8080 was ignored; it was meant as a setting")
	}
}

func TestNamedFilesMustExist(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, f := range []func() error{
		func() error { _, err := loadConfig(nil, nil, "no.yaml"); return err },
		func() error { _, err := loadConfig(nil, []string{"CHOWK_CONFIG=no.yaml"}, ""); return err },
	} {
		if err := f(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no.yaml") {
			t.Errorf("got error %v, want one that names the missing file", err)
		}
	}
	if err := os.WriteFile("my.yaml", []byte("listen: :9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(nil, []string{"CHOWK_CONFIG=my.yaml"}, "")
	if where := c.sources["listen"].where; err != nil || c.Listen != ":9" || where != "my.yaml:1" {
		t.Errorf("got %s from %s (%v), want :9 from my.yaml:1", c.Listen, where, err)
	}
}

func TestConfigAsJSON(t *testing.T) {
	_, out, _ := call(t, newRecords(), []string{"CHOWK_ORIGINS=https://a.example"},
		"config", "--json", "--pool.background-timeout", "90s")
	var all []shownSetting
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(allSettings()) {
		t.Errorf("got %d settings, want %d", len(all), len(allSettings()))
	}
	want := map[string]shownSetting{
		"pool.background-timeout": {"pool.background-timeout", "1m30s", "flag", "--pool.background-timeout"},
		"origins":                 {"origins", []any{"https://a.example"}, "env", "CHOWK_ORIGINS"},
		"pool.size":               {"pool.size", 10.0, "default", "the default"},
	}
	got := make(map[string]shownSetting)
	for _, s := range all {
		if _, ok := want[s.Name]; ok {
			got[s.Name] = s
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagSpellings(t *testing.T) {
	for _, args := range [][]string{
		{"--pool.size=7"}, {"--pool.size", "7"}, {"--pool-size=7"},
	} {
		_, out, errOut := call(t, newRecords(), nil, append([]string{"config"}, args...)...)
		if !regexp.MustCompile(`pool.size +7 +--pool.size`).MatchString(out) {
			t.Errorf("%v is not understood: %s", args, errOut)
		}
	}
	for _, c := range []struct{ want, flag string }{
		{`auth.allow-insecure +true +--auth.allow-insecure`, "--auth-allow-insecure"},
		{`auth.allow-insecure +true +--auth.allow-insecure`, "--auth.allow-insecure"},
		{`auth.allow-insecure +false +--auth.allow-insecure`, "--auth-allow-insecure=false"},
		{`origins +https://a.example,https://b.example +--origins`, "--origins=https://a.example,https://b.example"},
	} {
		_, out, errOut := call(t, newRecords(), nil, "config", c.flag)
		if !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: got %s%s, want %s", c.flag, out, errOut, c.want)
		}
	}
	_, out, _ := call(t, newRecords(), nil, "config", "--origins=https://a.example", "--origins=https://b.example")
	if !strings.Contains(out, "https://a.example,https://b.example") {
		t.Errorf("a repeated flag is not a list: %s", out)
	}
}

// TestFlagsHaveTheDefaultsOfAGoProgram: what loadConfig returns without any source is
// what [chowk.Open] sets for an empty Config.
func TestFlagsHaveTheDefaultsOfAGoProgram(t *testing.T) {
	loaded, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var embedded chowk.Config
	if err := embedded.Complete(); err != nil {
		t.Fatal(err)
	}
	for _, s := range allSettings() {
		if diff := cmp.Diff(s.Shown(&embedded), s.Shown(&loaded.Config)); diff != "" {
			t.Errorf("%s (-embedded +loaded):\n%s", s.Name, diff)
		}
	}
	if loaded.Auth.SessionTTL != 720*time.Hour || loaded.DatabaseURL != "sqlite:chowk-data/chowk.db" {
		t.Errorf("got a log-in of %s and the database %s", loaded.Auth.SessionTTL, loaded.DatabaseURL)
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"listen: :1", "pool:\n  size: 1", "auth: {mode: jwt}", "a: [1, {b: c}]", "- x", "&a *a", "? x\n: y", "\xff",
		"a:\n- b\n -", "{", "!!map {}", "<<: *x",
	} {
		f.Add(seed)
	}
	all := allSettings()
	f.Fuzz(func(t *testing.T, text string) {
		r := fileReader{path: "f", all: all, found: make(map[string]given)}
		r.read([]byte(text)) // must not panic
		for _, p := range r.problems {
			if !strings.HasPrefix(p.Error(), "f:") {
				t.Errorf("an error without its line: %v", p)
			}
		}
	})
}
