package chowk

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/settings"
)

//go:generate go run ./deploy/gen

// Config is every setting of a server. The command reads it from flags, the
// environment and a file; a Go program fills in what it needs:
//
//	chowk.Config{DatabaseURL: "sqlite:chat.db"}
//
// A field that is zero has its default. To set a field to zero whose default is not,
// such as Canary.Interval, start from [Defaults].
//
// The tags hold what is known of a setting: name is its key in the settings file and
// its flag, and CHOWK_ with the name in capitals is its environment variable. The
// tags default, enum, min and max are as they read, is names a kind of value, and
// secret hides the value, or the password in a URL. The comment of a field is its
// help.
type Config struct {
	// Address and port to listen on.
	Listen string `name:"listen" default:"127.0.0.1:8080" is:"address"`
	// Public URL of this server; used for links in email.
	PublicURL string `name:"public-url" is:"web"`
	// Directory of the embedded database.
	DataDir string `name:"data-dir" default:"./chowk-data"`
	// Database: postgres://user:password@host/name or sqlite:path. Empty means SQLite in
	// the data directory.
	DatabaseURL string `name:"database-url" is:"database" secret:"url"`
	// Streaming replicas of the PostgreSQL database, as URLs; they serve the reads that
	// they are up to date for.
	DatabaseRead []string `name:"database-read-url" is:"replica" secret:"url"`
	// Networks (CIDR) of the proxies in front, whose X-Forwarded-For and
	// X-Forwarded-Proto are trusted.
	TrustedProxies []netip.Prefix `name:"trusted-proxies"`
	// Origins of other sites whose pages may open sockets, such as
	// https://app.example.org.
	Origins []string `name:"origins" is:"origin"`
	// How often an idle socket is pinged.
	Heartbeat time.Duration `name:"heartbeat" default:"30s" min:"1s" max:"10m"`
	// How sockets are waited for; with epoll (Linux) an idle socket costs no goroutine.
	Transport string `name:"transport" default:"auto" enum:"auto,epoll,goroutine"`

	Ops    OpsConfig
	Canary CanaryConfig

	// Smallest event, in bytes, that is compressed (permessage-deflate) for clients that
	// ask for it; 0 disables compression.
	Deflate int64 `name:"deflate" default:"0" min:"0" max:"16MiB" is:"bytes"`

	Auth      AuthConfig
	Pool      PoolConfig
	DB        DBConfig
	CORS      CORSConfig
	Compat    CompatConfig
	Limits    LimitsConfig
	Ring      RingConfig
	Journal   JournalConfig
	Relay     RelayConfig
	Retention RetentionConfig
	Drain     DrainConfig
	Log       LogConfig
	Trace     TraceConfig
	TLS       TLSConfig
	Mail      MailConfig

	// Logger receives the server's log. Nil means [slog.Default].
	Logger *slog.Logger
	// Version of the program, as metrics and other nodes see it. Empty means the version
	// that the build has recorded.
	Version string
	// Now returns the time of day. Nil means [time.Now].
	Now func() time.Time

	// complete: a field that is zero was set to zero.
	complete bool
}

// OpsConfig is about the listener for operators.
type OpsConfig struct {
	// Address of metrics, health details and profiles, for operators; off disables it.
	Listen string `name:"ops.listen" default:"127.0.0.1:8081" is:"optional-address"`
}

// CanaryConfig is about the messages by which a server tests itself.
type CanaryConfig struct {
	// How often the server sends itself a test message through its public listener; 0s
	// disables it.
	Interval time.Duration `name:"canary.interval" default:"10s" min:"0s" max:"1h"`
}

// AuthConfig is about who may connect.
type AuthConfig struct {
	// Where users come from: accounts on this server, JWTs of an application, or none
	// (a token is a user id; for development).
	Mode string `name:"auth" default:"accounts" enum:"accounts,jwt,none"`
	// Allow auth=none on an address that others can reach. Anyone can then impersonate
	// anyone.
	AllowInsecure bool `name:"auth.allow-insecure"`
	// Secret of HS256 tokens, at least 32 bytes.
	JWTSecret string `name:"auth.jwt-secret" is:"jwt-secret" secret:"all"`
	// Public keys (PEM) or JWK set of RS256, ES256 and EdDSA tokens.
	JWTKeyFile string `name:"auth.jwt-key-file"`
	// The same, from a URL or file that is re-read as keys rotate.
	JWKSURL string `name:"auth.jwks-url" is:"jwks" secret:"url"`
	// Required value of the tokens' iss claim.
	JWTIssuer string `name:"auth.jwt-issuer"`
	// Required value in the tokens' aud claim.
	JWTAudience string `name:"auth.jwt-audience"`
	// How long a log-in lasts.
	SessionTTL time.Duration `name:"auth.session-ttl" default:"720h" min:"1m" max:"8760h"`
	// Who may create an account. The first account can always be created and becomes
	// the administrator.
	Signup string `name:"auth.signup" default:"open" enum:"open,invite,closed"`
}

// PoolConfig is about the connections to the database.
type PoolConfig struct {
	// PostgreSQL connections kept open.
	Size int `name:"pool.size" default:"10" min:"1" max:"1000"`
	// Extra connections opened under load and closed when idle.
	Overflow int `name:"pool.overflow" default:"20" min:"0" max:"1000"`
	// Maximum time a client request waits for a database connection (SQLite included)
	// before it is told to retry.
	RequestTimeout time.Duration `name:"pool.request-timeout" default:"250ms" min:"50ms" max:"10s"`
	// Maximum time background work waits for a database connection.
	BackgroundTimeout time.Duration `name:"pool.background-timeout" default:"30s" min:"100ms" max:"10m"`
	// Age at which a connection is replaced.
	MaxLifetime time.Duration `name:"pool.max-lifetime" default:"1h" min:"1m" max:"168h"`
	// Idle time after which an extra connection is closed.
	MaxIdleTime time.Duration `name:"pool.max-idle-time" default:"5s" min:"1s" max:"168h"`
}

// DBConfig is about the work that the database does.
type DBConfig struct {
	// After this long, a unit of work that still holds its connection is logged.
	HoldSoft time.Duration `name:"db.hold-soft" default:"1s" min:"10ms" max:"1h"`
	// After this long, it is cancelled, in the database as well.
	HoldHard time.Duration `name:"db.hold-hard" default:"5s" min:"100ms" max:"1h"`
	// Duration from which a statement is logged as slow.
	SlowQuery time.Duration `name:"db.slow-query" default:"100ms" min:"1ms" max:"1h"`
	// Whether to fetch the plan of a slow SELECT (auto: at most once an hour for each
	// statement).
	Plans string `name:"db.plans" default:"auto" enum:"auto,off"`
}

// CORSConfig is about pages of other sites that call the REST API.
type CORSConfig struct {
	// Origins of pages on other sites that may call the REST API with a user's
	// credentials.
	Origins []string `name:"cors.origins" is:"origin"`
}

// CompatConfig is about clients that depend on old behavior.
type CompatConfig struct {
	// Work around known bugs of the CampusPandit web page (see docs/protocol.md).
	CampusPanditPage bool `name:"compat.campuspandit-page"`
}

// RingConfig is about recent events in memory.
type RingConfig struct {
	// Memory for recent events, from which reconnecting clients are served.
	Bytes int64 `name:"ring.bytes" default:"64MiB" min:"1MiB" max:"64GiB" is:"bytes"`
}

// JournalConfig is about group commits.
type JournalConfig struct {
	// Group commits that PostgreSQL runs at once. SQLite has a single writer and runs
	// one.
	Workers int `name:"journal.workers" default:"2" min:"1" max:"64"`
}

// RetentionConfig is about what is deleted with time.
type RetentionConfig struct {
	// How long edits, deletions, reactions and memberships are kept for reconnecting
	// clients; clients away for longer reload their channels. 0 means forever. Messages
	// are kept.
	Changes time.Duration `name:"retention.changes" default:"0s" min:"0s" max:"876000h"`
}

// LogConfig is about the log of the command. A Go program sets [Config.Logger].
type LogConfig struct {
	// Minimum level logged.
	Level string `name:"log.level" default:"info" enum:"debug,info,warn,error"`
	// Format of the log; auto is text on a terminal and JSON elsewhere.
	Format string `name:"log.format" default:"auto" enum:"auto,text,json"`
}

// TraceConfig is about OpenTelemetry traces.
type TraceConfig struct {
	// Collector of OpenTelemetry traces, OTLP over HTTP, such as http://127.0.0.1:4318;
	// empty disables tracing.
	Endpoint string `name:"trace.endpoint" is:"collector"`
	// Fraction of commands and requests sampled; 0 traces only requests with a sampled
	// traceparent.
	Ratio float64 `name:"trace.ratio" default:"0.01" min:"0" max:"1"`
}

// TLSConfig is about TLS without a proxy.
type TLSConfig struct {
	// Certificate chain (PEM), when TLS does not end at a proxy.
	CertFile string `name:"tls.cert-file"`
	// Its private key (PEM).
	KeyFile string `name:"tls.key-file"`
}

// MailConfig is about sending email.
type MailConfig struct {
	// Mail server, smtp://user:password@host:587 or smtps:// with port 465; empty
	// disables email.
	SMTPURL string `name:"mail.smtp-url" is:"smtp" secret:"url"`
	// Sender of emails.
	From string `name:"mail.from" is:"email"`
}

// Defaults returns a Config in which each setting has its default. A field that is set
// to zero afterwards stays zero.
func Defaults() Config {
	c := Config{complete: true}
	settings.SetDefaults(&c)
	return c
}

// DataPath returns the directory on the file system that fills up: that of the
// embedded database, or else the data directory.
func (c *Config) DataPath() string {
	if path, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok {
		return filepath.Dir(strings.TrimPrefix(path, "//"))
	}
	return c.DataDir
}

// driver returns how sockets are waited for. A TLS connection has state of its own
// above the descriptor, so epoll cannot wait for it.
func (c *Config) driver() netpoll.Driver {
	if c.TLS.CertFile != "" {
		return netpoll.Goroutine
	}
	return netpoll.Driver(c.Transport)
}

// BaseURL returns the public URL, or else the URL of Listen as seen from this machine.
func (c *Config) BaseURL() string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	scheme := "http://"
	if c.TLS.CertFile != "" {
		scheme = "https://"
	}
	return scheme + settings.LocalAddress(c.Listen)
}
