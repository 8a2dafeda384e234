package chowk

import "time"

// LimitsConfig bounds what clients may do.
type LimitsConfig struct {
	// Sockets open at once; 0 means as many as the limit on open files allows.
	Sockets int `name:"limits.sockets" default:"0" min:"0" max:"10000000"`
	// Sockets of one user; 0 means unlimited.
	SocketsPerUser int `name:"limits.sockets-per-user" default:"50" min:"0" max:"100000"`
	// Sockets from one address; 0 means unlimited.
	SocketsPerAddress int `name:"limits.sockets-per-address" default:"0" min:"0" max:"10000000"`
	// New sockets a second; the rest are told to retry later.
	HandshakesPerSecond int `name:"limits.handshakes-per-second" default:"2000" min:"1" max:"1000000"`
	// Largest command that a client may send.
	MessageBytes int64 `name:"limits.message-bytes" default:"64KiB" min:"1KiB" max:"16MiB" is:"bytes"`
	// Largest WebSocket frame; 0 means limits.message-bytes.
	FrameBytes int64 `name:"limits.frame-bytes" default:"0" min:"0" max:"16MiB" is:"bytes"`
	// WebSocket frames that a command may consist of.
	Fragments int `name:"limits.fragments" default:"64" min:"1" max:"100000"`
	// Maximum time from the first byte of a command to its last.
	MessageReadTimeout time.Duration `name:"limits.message-read-timeout" default:"30s" min:"1s" max:"10m"`
	// Total memory for partly received commands.
	PartialBytes int64 `name:"limits.partial-bytes" default:"64MiB" min:"1MiB" max:"64GiB" is:"bytes"`
	// Commands a socket may send a second.
	CommandsPerSecond int `name:"limits.commands-per-second" default:"50" min:"1" max:"100000"`
	// Burst of commands a socket may send after being idle.
	CommandsBurst int `name:"limits.commands-burst" default:"100" min:"1" max:"1000000"`
	// Commands all sockets of a user may send a second; 0 means four times the limit of
	// one socket.
	UserCommandsPerSecond int `name:"limits.user-commands-per-second" default:"0" min:"0" max:"400000"`
	// Burst of commands they may send after being idle; 0 means four times the burst of
	// one socket.
	UserCommandsBurst int `name:"limits.user-commands-burst" default:"0" min:"0" max:"4000000"`
	// WebSocket pings and pongs a socket may send a second; the burst is twice as many.
	ControlFramesPerSecond int `name:"limits.control-frames-per-second" default:"20" min:"1" max:"100000"`
}

// RelayConfig is about the other nodes that share the database.
type RelayConfig struct {
	// Address and port for the other nodes that share the PostgreSQL database; a single
	// node needs none.
	Listen string `name:"relay.listen" is:"optional-address"`
	// The other nodes, as host:port of their relay.listen. A name may resolve to many
	// nodes, this one included.
	Routes []string `name:"relay.routes" is:"node"`
	// A NATS cluster to use instead, such as nats://nats.example.org:4222; several
	// servers of one cluster as a list.
	URL []string `name:"relay.url" is:"nats" secret:"url"`
	// Shared secret that authenticates nodes, at least 16 characters; required unless
	// all nodes are on this machine.
	Secret string `name:"relay.secret" is:"relay-secret" secret:"all"`
	// Credentials (.creds) for that NATS cluster.
	CredentialsFile string `name:"relay.credentials-file"`
	// Certificate (PEM) of this node, to encrypt the traffic between nodes.
	TLSCertFile string `name:"relay.tls-cert-file"`
	// Its private key (PEM).
	TLSKeyFile string `name:"relay.tls-key-file"`
	// CA (PEM) that signs the nodes' certificates and nothing else.
	TLSCAFile string `name:"relay.tls-ca-file"`
}

// DrainConfig is about a server that stops.
type DrainConfig struct {
	// How long a stopping server reports that it is not ready before it drains, so that
	// load balancers notice.
	Delay time.Duration `name:"drain.delay" default:"0s" min:"0s" max:"10m"`
	// Period over which a stopping server tells its sockets to reconnect elsewhere.
	Window time.Duration `name:"drain.window" default:"5s" min:"0s" max:"10m"`
	// Maximum time a stopping server waits for its sockets and its work, counted from
	// the end of the delay.
	Timeout time.Duration `name:"drain.timeout" default:"20s" min:"1s" max:"1h"`
}
