package config

// enum is a string type with a closed set of values. Validate finds every
// field of such a type by reflection, so a new one needs no further code.
type enum interface {
	// options are the values allowed in the file.
	options() []string
}

// PoolMode is when a server connection goes back to its pool.
type PoolMode string

const (
	PoolTransaction PoolMode = "transaction"
	PoolSession     PoolMode = "session"
)

func (PoolMode) options() []string { return []string{"transaction", "session"} }

// SSLMode has libpq's names and meanings (manual, "SSL Support", table 34.1).
type SSLMode string

const (
	SSLDisable    SSLMode = "disable"
	SSLPrefer     SSLMode = "prefer"
	SSLRequire    SSLMode = "require"
	SSLVerifyCA   SSLMode = "verify-ca"
	SSLVerifyFull SSLMode = "verify-full"
)

func (SSLMode) options() []string {
	return []string{"disable", "prefer", "require", "verify-ca", "verify-full"}
}

// ClientTLSMode says if clients may or must use TLS. Unix sockets never do.
type ClientTLSMode string

const (
	ClientTLSDisable ClientTLSMode = "disable"
	ClientTLSAllow   ClientTLSMode = "allow"
	ClientTLSRequire ClientTLSMode = "require"
)

func (ClientTLSMode) options() []string { return []string{"disable", "allow", "require"} }

// AuthMethod is what is asked of clients.
type AuthMethod string

const (
	AuthSCRAM    AuthMethod = "scram-sha-256"
	AuthPassword AuthMethod = "password"
	AuthTrust    AuthMethod = "trust"
)

func (AuthMethod) options() []string { return []string{"scram-sha-256", "password", "trust"} }

// Balance is what a rebalance makes equal.
type Balance string

const (
	BalanceShards Balance = "shards"
	BalanceBytes  Balance = "bytes"
	BalanceLoad   Balance = "load"
)

func (Balance) options() []string { return []string{"shards", "bytes", "load"} }

// Hash is which partition hash a new sharded table gets.
type Hash string

const (
	HashPostgres Hash = "postgres"
	HashMurmur3  Hash = "murmur3"
)

func (Hash) options() []string { return []string{"postgres", "murmur3"} }

// Distribution is what a CREATE TABLE without PARTITION BY makes.
type Distribution string

const (
	DistributionLocal      Distribution = "local"
	DistributionPrimaryKey Distribution = "primary_key"
	DistributionReference  Distribution = "reference"
)

func (Distribution) options() []string { return []string{"local", "primary_key", "reference"} }

// Consistency is what a read may miss; the names and their order are Cosmos DB's.
type Consistency string

const (
	ConsistencyStrong   Consistency = "strong"
	ConsistencyBounded  Consistency = "bounded_staleness"
	ConsistencySession  Consistency = "session"
	ConsistencyPrefix   Consistency = "consistent_prefix"
	ConsistencyEventual Consistency = "eventual"
)

func (Consistency) options() []string {
	return []string{"strong", "bounded_staleness", "session", "consistent_prefix", "eventual"}
}

// ReplicationMode is whether COMMIT waits for standbys.
type ReplicationMode string

const (
	ReplicationAsync ReplicationMode = "async"
	ReplicationSync  ReplicationMode = "sync"
)

func (ReplicationMode) options() []string { return []string{"async", "sync"} }

// WhenMissing is what becomes of a synchronous commit that too few standbys confirm.
type WhenMissing string

const (
	MissingWait    WhenMissing = "wait"
	MissingDegrade WhenMissing = "degrade"
)

func (WhenMissing) options() []string { return []string{"wait", "degrade"} }

// FailoverMode is who promotes a standby.
type FailoverMode string

const (
	FailoverFollow  FailoverMode = "follow"
	FailoverPromote FailoverMode = "promote"
)

func (FailoverMode) options() []string { return []string{"follow", "promote"} }

// LogLevel is the least severe level that is written.
type LogLevel string

const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

func (LogLevel) options() []string { return []string{"debug", "info", "warn", "error"} }

// LogFormat is log/slog's text (key=value) or JSON handler.
type LogFormat string

const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

func (LogFormat) options() []string { return []string{"text", "json"} }
