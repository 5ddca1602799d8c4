// Package config turns config.yaml into one validated value.
//
// A *Config that Load or Parse returned is complete (every default and every
// inherited setting is filled in) and is never written again: whoever holds it
// may share it. A reload makes another one, see Reload.
package config

// Config is the whole configuration. Keys, defaults and meaning are written
// out in config.yaml at the top of the repository; a test keeps both equal.
type Config struct {
	Cluster string `yaml:"cluster"`
	// Listen is host:port. The port also names the Unix socket. Port 0 takes
	// a free one.
	Listen string `yaml:"listen"`
	// ListenUnix is the directory of the Unix socket, "" for none.
	ListenUnix string `yaml:"listen_unix"`
	// Home is the name of a backend. Empty in the file: the first one.
	Home string `yaml:"home"`

	Backends    []Backend   `yaml:"backends"`
	Credentials Credentials `yaml:"credentials"`
	BackendTLS  ServerTLS   `yaml:"backend_tls"`

	Pool      Pool                `yaml:"pool"`
	Users     map[string]User     `yaml:"users"`
	Databases map[string]Database `yaml:"databases"`

	Auth         Auth         `yaml:"auth"`
	TLS          ClientTLS    `yaml:"tls"`
	Limits       Limits       `yaml:"limits"`
	Timeouts     Timeouts     `yaml:"timeouts"`
	Sharding     Sharding     `yaml:"sharding"`
	Transactions Transactions `yaml:"transactions"`
	Rebalancer   Rebalancer   `yaml:"rebalancer"`
	Reads        Reads        `yaml:"reads"`
	Replication  Replication  `yaml:"replication"`
	Failover     Failover     `yaml:"failover"`
	Log          Log          `yaml:"log"`
	Metrics      Metrics      `yaml:"metrics"`
}

// Backend is one primary with its standbys.
type Backend struct {
	Name string `yaml:"name"`
	// Weight is this backend's share of the shards relative to the others.
	Weight   int      `yaml:"weight"`
	Primary  Server   `yaml:"primary"`
	Replicas []Server `yaml:"replicas"`
	// Credentials holds, once resolved, what is in force for this backend.
	Credentials Credentials `yaml:"credentials"`
}

// Server is one PostgreSQL server.
type Server struct {
	// Name is, once resolved, unique over the cluster: for a primary the
	// backend's, for its i-th replica (from 1) by default NAME-ri.
	Name string `yaml:"name"`
	// Host is a host name, an IP address, or an absolute path: the directory
	// of a Unix socket.
	Host string `yaml:"host"`
	Port int    `yaml:"port"`
	// TLS holds, once resolved, what is in force for this server.
	TLS ServerTLS `yaml:"tls"`
	// ReadWeight is this server's share of the reads that may go to replicas.
	// A primary with 0 takes those only that no replica can answer.
	ReadWeight int `yaml:"read_weight"`
}

// ServerTLS is TLS towards a PostgreSQL server, with libpq's meanings.
type ServerTLS struct {
	Mode     SSLMode `yaml:"mode"`
	RootCert string  `yaml:"root_cert"`
	Cert     string  `yaml:"cert"`
	Key      string  `yaml:"key"`
}

// Credentials are those of the service role: the superuser that pleiad itself
// uses on the servers (catalog, DDL, recovery, health).
type Credentials struct {
	User           string `yaml:"user"`
	PasswordSource `yaml:",inline"`
}

// PasswordSource says where a password is read at each use; at most one field
// is set. Both empty: no password (trust, peer or certificate).
type PasswordSource struct {
	PasswordFile string `yaml:"password_file"`
	PasswordEnv  string `yaml:"password_env"`
}

// Pool bounds the server connections of one (backend, role, database).
type Pool struct {
	Mode    PoolMode `yaml:"mode"`
	Size    int      `yaml:"size"`
	MinIdle int      `yaml:"min_idle"`
	// QueueTimeout is how long a client waits for a connection; 0: for ever.
	QueueTimeout Duration `yaml:"queue_timeout"`
	// IdleTimeout closes a connection unused for so long; 0: never.
	IdleTimeout Duration `yaml:"idle_timeout"`
	// MaxLifetime closes a connection of that age when it is next free; 0: never.
	MaxLifetime Duration `yaml:"max_lifetime"`
}

// User overrides for one role; zero values inherit from Database, then Pool.
type User struct {
	PoolMode PoolMode `yaml:"pool_mode"`
	PoolSize int      `yaml:"pool_size"`
	// PasswordSource is this role's password on the backends, for servers
	// where the client's own proof cannot be passed on.
	PasswordSource `yaml:",inline"`
}

// Database overrides for one database; zero values inherit from Pool.
type Database struct {
	PoolMode PoolMode `yaml:"pool_mode"`
	PoolSize int      `yaml:"pool_size"`
}

// Auth is how clients prove who they are.
type Auth struct {
	Method AuthMethod `yaml:"method"`
	// LoginTimeout is from accept to the end of authentication.
	LoginTimeout Duration `yaml:"login_timeout"`
	// MaxUnauthenticated caps sockets that have not authenticated yet.
	MaxUnauthenticated int `yaml:"max_unauthenticated"`
	// MaxUnauthenticatedPerAddress is the same for one client address.
	MaxUnauthenticatedPerAddress int `yaml:"max_unauthenticated_per_address"`
}

// ClientTLS is TLS towards clients.
type ClientTLS struct {
	Mode ClientTLSMode `yaml:"mode"`
	Cert string        `yaml:"cert"`
	Key  string        `yaml:"key"`
	// ClientCA, when set, makes a client certificate signed by it compulsory.
	ClientCA string `yaml:"client_ca"`
}

// Limits bound what one process or one client may hold.
type Limits struct {
	MaxClients int `yaml:"max_clients"`
	// MaxMessage bounds one protocol message, type byte excluded.
	MaxMessage Size `yaml:"max_message"`
	// MaxQueryBytes bounds one SQL text.
	MaxQueryBytes        Size `yaml:"max_query_bytes"`
	MaxPreparedPerClient int  `yaml:"max_prepared_per_client"`
	// MaxPreparedPerServer is per server connection; the least used go first.
	MaxPreparedPerServer int  `yaml:"max_prepared_per_server"`
	PlanCacheBytes       Size `yaml:"plan_cache_bytes"`
	// GatherMaxBytes bounds the rows one statement may copy to one backend.
	GatherMaxBytes Size `yaml:"gather_max_bytes"`
}

// Timeouts; 0 is none unless said otherwise.
type Timeouts struct {
	// Connect is for one attempt at one server, authentication included; never 0.
	Connect           Duration `yaml:"connect"`
	ClientIdle        Duration `yaml:"client_idle"`
	IdleInTransaction Duration `yaml:"idle_in_transaction"`
	Query             Duration `yaml:"query"`
	// TCPKeepalive is the idle time before the first probe; 0: off.
	TCPKeepalive Duration `yaml:"tcp_keepalive"`
	// Cancel is how long delivering a cancel request may take; never 0.
	Cancel Duration `yaml:"cancel"`
	// Shutdown is how long open transactions may take to end; 0: not at all.
	Shutdown Duration `yaml:"shutdown"`
}

// Sharding holds defaults for new tables; existing ones keep what they have.
type Sharding struct {
	ShardCount          int          `yaml:"shard_count"`
	Hash                Hash         `yaml:"hash"`
	DefaultDistribution Distribution `yaml:"default_distribution"`
}

// Transactions is the recovery of distributed transactions.
type Transactions struct {
	// RecoveryInterval is between two looks at prepared transactions; never 0.
	RecoveryInterval Duration `yaml:"recovery_interval"`
	// InDoubtAlert is the age at which an undecided transaction is logged as
	// a warning; 0: never.
	InDoubtAlert Duration `yaml:"in_doubt_alert"`
}

// Reads say where a session's reads may go, unless it says so itself.
type Reads struct {
	Consistency Consistency `yaml:"consistency"`
	// MaxStaleness is how old bounded_staleness may be.
	MaxStaleness Duration `yaml:"max_staleness"`
	// Wait is how long a read waits for a replica before the primary answers.
	Wait Duration `yaml:"wait"`
}

// Replication says what COMMIT waits for.
type Replication struct {
	// Default holds for sessions, transactions and tables that say nothing.
	Default ReplicationMode `yaml:"default"`
	// Confirm is how many standbys must have applied a synchronous commit.
	Confirm int `yaml:"confirm"`
	// SyncTimeout is how long such a commit waits for them; never 0.
	SyncTimeout Duration `yaml:"sync_timeout"`
	// WhenMissing is what happens after that.
	WhenMissing WhenMissing `yaml:"when_missing"`
}

// Failover is what happens when a primary is lost.
type Failover struct {
	Mode FailoverMode `yaml:"mode"`
	// Detect is how long a primary may not answer before it is lost; never 0.
	Detect Duration `yaml:"detect"`
	// Wait is how long a statement waits for another primary.
	Wait Duration `yaml:"wait"`
}

// Log goes to stderr.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
	// Statements puts SQL texts, literals included, into the log.
	Statements bool `yaml:"statements"`
}

// Metrics is the HTTP server of internal/admin.
type Metrics struct {
	// Listen is host:port; "" for no server at all.
	Listen string `yaml:"listen"`
	// Pprof serves Go's profiles under /debug/pprof/.
	Pprof bool `yaml:"pprof"`
}
