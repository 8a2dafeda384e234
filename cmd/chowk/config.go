package main

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// Config is every setting, a line each. Tags: name is the key in the YAML file
// (dots nest) and the flag; CHOWK_ and the name in capitals is the environment
// variable. default, help, enum, min, max and is (a kind of text) say what is
// allowed; secret hides the value, or the password in a URL.
type Config struct {
	Listen         string         `name:"listen" default:"127.0.0.1:8080" is:"address" help:"Address and port to listen on."`
	PublicURL      string         `name:"public-url" is:"web" help:"Where browsers find this server; links in mails lead there."`
	DataDir        string         `name:"data-dir" default:"./chowk-data" help:"Directory of the embedded database and of uploaded files."`
	DatabaseURL    string         `name:"database-url" is:"database" secret:"url" help:"postgres://user:password@host/name or sqlite:path; sqlite in the data directory when empty."`
	DatabaseRead   []string       `name:"database-read-url" is:"replica" secret:"url" help:"Streaming replicas of the PostgreSQL database, as URLs; they answer what they have got already."`
	TrustedProxies []netip.Prefix `name:"trusted-proxies" help:"Networks (CIDR) of the proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	Origins        []string       `name:"origins" is:"origin" help:"Origins of other sites whose pages may open sockets, such as https://app.example.org."`
	Heartbeat      time.Duration  `name:"heartbeat" default:"30s" min:"1s" max:"10m" help:"How often an idle socket is asked whether it is still there."`
	Transport      string         `name:"transport" default:"auto" enum:"auto,epoll,goroutine" help:"How sockets are waited for: epoll (Linux) costs an idle socket no goroutine."`

	Ops struct {
		Listen string `name:"ops.listen" default:"127.0.0.1:8081" is:"optional-address" help:"Address of metrics, health with reasons and profiles, for whoever runs the server; off is none."`
	}

	Canary struct {
		Interval time.Duration `name:"canary.interval" default:"10s" min:"0s" max:"1h" help:"How often the server sends itself a message through its own door, to see that all works; 0s is never."`
	}

	Deflate Size `name:"deflate" default:"0" min:"0" max:"16MiB" help:"Events of at least this size are compressed (permessage-deflate) for clients that ask for it; 0 is never."`

	Auth struct {
		Mode          auth.Mode     `name:"auth" default:"accounts" enum:"accounts,jwt,none" help:"Where users come from: accounts made here, an application's JWTs, or none (a token is a user id; for development)."`
		AllowInsecure bool          `name:"auth.allow-insecure" help:"Allow auth=none on an address that others can reach. Everybody can then be anybody."`
		JWTSecret     string        `name:"auth.jwt-secret" is:"jwt-secret" secret:"all" help:"Secret of HS256 tokens, 32 bytes or more."`
		JWTKeyFile    string        `name:"auth.jwt-key-file" help:"Public keys (PEM) or JWK set of RS256, ES256 and EdDSA tokens."`
		JWKSURL       string        `name:"auth.jwks-url" is:"jwks" secret:"url" help:"The same from a URL or a file, renewed as keys rotate."`
		JWTIssuer     string        `name:"auth.jwt-issuer" help:"What the tokens' iss must be."`
		JWTAudience   string        `name:"auth.jwt-audience" help:"What the tokens' aud must hold."`
		SessionTTL    time.Duration `name:"auth.session-ttl" default:"720h" min:"1m" max:"8760h" help:"How long a log-in lasts."`
		Signup        auth.Signup   `name:"auth.signup" default:"open" enum:"open,invite,closed" help:"Who may make an account. The first one can always be made, and is the administrator's."`
	}

	Pool struct {
		Size              int           `name:"pool.size" default:"10" min:"1" max:"1000" help:"PostgreSQL connections that are kept."`
		Overflow          int           `name:"pool.overflow" default:"20" min:"0" max:"1000" help:"More of them under load, closed when idle."`
		RequestTimeout    time.Duration `name:"pool.request-timeout" default:"250ms" min:"50ms" max:"10s" help:"How long what people wait for waits for a connection (SQLite's as well), before they are told to come back."`
		BackgroundTimeout time.Duration `name:"pool.background-timeout" default:"30s" min:"100ms" max:"10m" help:"How long background work waits for one."`
		MaxLifetime       time.Duration `name:"pool.max-lifetime" default:"1h" min:"1m" max:"168h" help:"When a connection is replaced."`
		MaxIdleTime       time.Duration `name:"pool.max-idle-time" default:"5s" min:"1s" max:"168h" help:"When an idle connection beyond the size is closed."`
	}

	DB struct {
		HoldSoft  time.Duration `name:"db.hold-soft" default:"1s" min:"10ms" max:"1h" help:"When a unit of work that still holds its connection is logged."`
		HoldHard  time.Duration `name:"db.hold-hard" default:"5s" min:"100ms" max:"1h" help:"When it is cancelled, on the server as well."`
		SlowQuery time.Duration `name:"db.slow-query" default:"100ms" min:"1ms" max:"1h" help:"From when on a statement is logged as slow."`
		Plans     string        `name:"db.plans" default:"auto" enum:"auto,off" help:"auto asks for the plan of a slow SELECT, at most once an hour for each; off does not."`
	}

	CORS struct {
		Origins []string `name:"cors.origins" is:"origin" help:"Origins of pages on other sites that may call the REST API with a user's credentials."`
	}

	Compat struct {
		CampusPanditPage bool `name:"compat.campuspandit-page" help:"What the page published by CampusPandit needs because of its own defects."`
	}

	Limits struct {
		Sockets                int           `name:"limits.sockets" default:"0" min:"0" max:"10000000" help:"Sockets open at once; 0 is what the limit on open files allows."`
		SocketsPerUser         int           `name:"limits.sockets-per-user" default:"50" min:"0" max:"100000" help:"Sockets of one user; 0 is no limit."`
		SocketsPerAddress      int           `name:"limits.sockets-per-address" default:"0" min:"0" max:"10000000" help:"Sockets from one address; 0 is no limit."`
		HandshakesPerSecond    int           `name:"limits.handshakes-per-second" default:"2000" min:"1" max:"1000000" help:"New sockets a second; the rest are asked to come back."`
		MessageBytes           Size          `name:"limits.message-bytes" default:"64KiB" min:"1KiB" max:"16MiB" help:"Largest event that a client may send."`
		FrameBytes             Size          `name:"limits.frame-bytes" default:"0" min:"0" max:"16MiB" help:"Largest WebSocket frame of which an event may consist; 0 is as large as the event."`
		Fragments              int           `name:"limits.fragments" default:"64" min:"1" max:"100000" help:"WebSocket frames of which an event may consist."`
		MessageReadTimeout     time.Duration `name:"limits.message-read-timeout" default:"30s" min:"1s" max:"10m" help:"How long an event may take from its first byte to its last."`
		PartialBytes           Size          `name:"limits.partial-bytes" default:"64MiB" min:"1MiB" max:"64GiB" help:"Memory for events of which only a part has come, all sockets together."`
		CommandsPerSecond      int           `name:"limits.commands-per-second" default:"50" min:"1" max:"100000" help:"Events that one socket may send a second."`
		CommandsBurst          int           `name:"limits.commands-burst" default:"100" min:"1" max:"1000000" help:"Events that it may send at once after being quiet."`
		UserCommandsPerSecond  int           `name:"limits.user-commands-per-second" default:"0" min:"0" max:"400000" help:"Events that all sockets of one user may send a second; 0 is four times what one may."`
		UserCommandsBurst      int           `name:"limits.user-commands-burst" default:"0" min:"0" max:"4000000" help:"Events that they may send at once after being quiet; 0 is four times what one may."`
		ControlFramesPerSecond int           `name:"limits.control-frames-per-second" default:"20" min:"1" max:"100000" help:"WebSocket pings and pongs that one socket may send a second; twice as many at once."`
	}

	Ring struct {
		Bytes Size `name:"ring.bytes" default:"64MiB" min:"1MiB" max:"64GiB" help:"Memory for recent events, from which reconnecting clients are served."`
	}

	Journal struct {
		Workers int `name:"journal.workers" default:"2" min:"1" max:"64" help:"Group commits under way at once on PostgreSQL. SQLite has one writer, and so one."`
	}

	Relay struct {
		Listen          string   `name:"relay.listen" is:"optional-address" help:"Address and port for the other nodes that share the PostgreSQL database; a node alone needs none."`
		Routes          []string `name:"relay.routes" is:"node" help:"The other nodes, as host:port of their relay.listen; a name may stand for many, and for this node as well."`
		URL             []string `name:"relay.url" is:"nats" secret:"url" help:"A NATS of your own to use instead, such as nats://nats.example.org:4222; several of one cluster as a list."`
		Secret          string   `name:"relay.secret" is:"relay-secret" secret:"all" help:"By which nodes know each other, 16 characters or more; needed unless all of them are on this machine."`
		CredentialsFile string   `name:"relay.credentials-file" help:"Credentials (.creds) for that NATS."`
		TLSCertFile     string   `name:"relay.tls-cert-file" help:"Certificate (PEM) of this node, so that what nodes say is encrypted."`
		TLSKeyFile      string   `name:"relay.tls-key-file" help:"Its private key (PEM)."`
		TLSCAFile       string   `name:"relay.tls-ca-file" help:"Authority (PEM) that signs the nodes' certificates, and those of nobody else."`
	}

	Retention struct {
		Changes time.Duration `name:"retention.changes" default:"0s" min:"0s" max:"876000h" help:"How long edits, deletions, reactions and memberships are kept for clients that come back; who was away longer loads its channels anew. 0 is for ever. Messages stay."`
	}

	Drain struct {
		Delay   time.Duration `name:"drain.delay" default:"0s" min:"0s" max:"10m" help:"How long a stopping server goes on as before but says that it is not ready, until balancers have noticed."`
		Window  time.Duration `name:"drain.window" default:"5s" min:"0s" max:"10m" help:"Over how long a stopping server asks its sockets to reconnect elsewhere."`
		Timeout time.Duration `name:"drain.timeout" default:"20s" min:"1s" max:"1h" help:"When it stops waiting, counted from the end of the delay."`
	}

	Log struct {
		Level  string `name:"log.level" default:"info" enum:"debug,info,warn,error" help:"The least important that is logged."`
		Format string `name:"log.format" default:"auto" enum:"auto,text,json" help:"auto is text on a terminal and JSON elsewhere."`
	}

	Trace struct {
		Endpoint string  `name:"trace.endpoint" is:"collector" help:"Collector of OpenTelemetry traces, OTLP over HTTP, such as http://127.0.0.1:4318; without one nothing is traced."`
		Ratio    float64 `name:"trace.ratio" default:"0.01" min:"0" max:"1" help:"Which part of events and requests is traced; 0 is only what callers ask for with traceparent."`
	}

	TLS struct {
		CertFile string `name:"tls.cert-file" help:"Certificate chain (PEM), when TLS does not end in a proxy."`
		KeyFile  string `name:"tls.key-file" help:"Its private key (PEM)."`
	}

	Mail struct {
		SMTPURL string `name:"mail.smtp-url" is:"smtp" secret:"url" help:"Mail server, smtp://user:password@host:587 or smtps:// with port 465; without one no mail is sent."`
		From    string `name:"mail.from" is:"email" help:"Sender of mails."`
	}

	// file is the YAML file that was read, "" when none was.
	file string
	// sources tells where each setting's value comes from, by name.
	sources map[string]source
}

// dataPath is a path on the file system that fills up: that of the embedded
// database, or else of the data directory.
func (c *Config) dataPath() string {
	if path, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok {
		return filepath.Dir(strings.TrimPrefix(path, "//"))
	}
	return c.DataDir
}

// driver is how sockets are waited for. A TLS connection has state of its own
// between the descriptor and us, so epoll is of no use for it.
func (c *Config) driver() netpoll.Driver {
	if c.TLS.CertFile != "" {
		return netpoll.Goroutine
	}
	return netpoll.Driver(c.Transport)
}

// BaseURL is the public URL, or else the address that it listens on as somebody
// on the same machine would write it.
func (c *Config) BaseURL() string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	scheme := "http://"
	if c.TLS.CertFile != "" {
		scheme = "https://"
	}
	return scheme + localAddress(c.Listen)
}
