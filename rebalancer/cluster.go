// Package rebalancer moves shards between backends that both serve: it chooses which (package balance), and runs
// the moves, every step of them noted in the catalog so that any proxy can go on with it.
package rebalancer

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/replication"
)

// Cluster is what the rebalancer needs of the proxy that it runs in.
type Cluster interface {
	Directory
	Holder
}

// Directory says what there is, and how it is reached.
type Directory interface {
	// Databases lists those that have jobs, Served all that are open.
	Databases() []string
	Served() []string
	// ConnString is how the service role reaches a database of a backend; "" is home.
	ConnString(backend, database string) (string, error)
	// NewTransaction names a distributed transaction that recovery leaves alone until ended is called.
	NewTransaction() (gid string, ended func())
	// Generation changes with a backend's primary, and before the old one loses its standbys. Standbys is how many are to be
	// counted on, streaming or not.
	Generation(backend string) uint64
	Standbys(backend string) int
	// Pressed tells whether several clients' statements are running now.
	Pressed() bool
}

// Holder keeps statements waiting while a shard changes its backend.
type Holder interface {
	// Arm makes transactions that begin from now on say which shards they use. Hold keeps new statements away from
	// those of a group on some backends, drain waits for transactions that have used them, open lets all in again.
	Arm(database string) (disarm func(), err error)
	Hold(database string, group int, backends []int) (drain func(context.Context) error, open func(), err error)
	// Switched tells that the map of this epoch differs from the one before in one shard.
	Switched(ctx context.Context, database string, group, shard, backend int, epoch uint64) error
}

// Joiner is what a backend needs of the proxy to join a database.
type Joiner interface {
	// Install puts the catalog into a database of a backend.
	Install(ctx context.Context, backend, database string) error
}

// Settings are the configuration's, read at each use.
type Settings struct {
	MaxHold     time.Duration // of one attempt to switch
	MaxSlotWAL  int64         // bytes that a source may keep for a move; 0: no bound
	MaxParallel int
	MaxRate     int64 // bytes a second of all copies of a job together; 0: no bound
	Auto        Auto
}

// Auto starts a rebalance by itself.
type Auto struct {
	Enabled   bool
	By        string
	Interval  time.Duration // between two looks at the balance
	Threshold float64       // of Imbalance
	From, To  time.Duration // of the local day; equal: always
}

// session are settings of the rebalancer's own connections: texts of values must be alike on both servers, and no role's
// or database's settings may end a long statement.
var session = map[string]string{
	"application_name": "pleiad move", "search_path": "pg_catalog", "client_encoding": "UTF8", "DateStyle": "ISO, YMD",
	"IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3", "bytea_output": "hex", "xmlbinary": "base64",
	"lc_monetary": "C", "statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
	"default_transaction_isolation": "read committed", "default_transaction_read_only": "off", "row_security": "off",
	"client_min_messages": "warning", "session_replication_role": "origin", "jit": "off",
}

// endlessTransactions is one more of these settings, where the server has it: since PostgreSQL 17.
const endlessTransactions = "SELECT pg_catalog.set_config('transaction_timeout', '0', false)" +
	" WHERE pg_catalog.current_setting('transaction_timeout', true) <> '0'"

// connect opens a connection of the service role.
func connect(ctx context.Context, c Cluster, backend, database string) (*pgx.Conn, error) {
	cfg, err := connConfig(c, backend, database)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to backend %q: %w: %w", backend, errAway, err)
	}
	// Where commits need not be durable by the server's configuration, the steps of a move still must.
	_, err = conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
	if err == nil {
		_, err = conn.Exec(ctx, endlessTransactions)
	}
	if err != nil {
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("connect to backend %q: %w", backend, err)
	}
	return conn, nil
}

// connectReplication opens one that speaks the replication protocol.
func connectReplication(ctx context.Context, c Cluster, backend, database string) (*pgconn.PgConn, error) {
	conn, _, err := connectStream(ctx, c, backend, database)
	return conn, err
}

// connectStream is connectReplication for who reads by himself: from in.
func connectStream(ctx context.Context, c Cluster, backend, database string) (conn *pgconn.PgConn, in io.Reader, err error) {
	cfg, err := connConfig(c, backend, database)
	if err != nil {
		return nil, nil, err
	}
	cfg.RuntimeParams["replication"] = "database"
	incoming := replication.Incoming(&cfg.Config)
	if conn, err = pgconn.ConnectConfig(ctx, &cfg.Config); err != nil {
		return nil, nil, fmt.Errorf("connect to backend %q: %w: %w", backend, errAway, err)
	}
	if _, err := conn.Exec(ctx, endlessTransactions).ReadAll(); err != nil {
		_ = conn.Close(ctx)
		return nil, nil, fmt.Errorf("connect to backend %q: %w", backend, err)
	}
	return conn, incoming(), nil
}

func connConfig(c Cluster, backend, database string) (*pgx.ConnConfig, error) {
	dsn, err := c.ConnString(backend, database)
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to backend %q: %w", backend, err)
	}
	for k, v := range session {
		cfg.RuntimeParams[k] = v
	}
	cfg.ConnectTimeout = connectTimeout
	return cfg, nil
}

const connectTimeout = 5 * time.Second

// closing ends a connection whatever state it is in.
func closing(c interface{ Close(context.Context) error }) {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = c.Close(ctx)
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteLiteral(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
