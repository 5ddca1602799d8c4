package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/config"
)

// oldest is the oldest server_version_num that pleiad works on.
const oldest = 150000

// facts are what one server said. With err set the rest may be absent; with a
// version below oldest nothing after the settings was asked for.
type facts struct {
	target
	err        error
	version    string
	versionNum int
	settings   map[string]string
	superuser  bool
	inRecovery bool
	// walReceiver is pg_stat_wal_receiver's status, "" when there is none.
	walReceiver string
	systemID    string
	// started with systemID tells one server reached by two addresses.
	started time.Time
	// ahead is the server's clock less ours; half of the round trip uncertain.
	ahead, roundTrip time.Duration
	databases        map[string]database
	roles            map[string]role // nil when the service role may not read them
	prepared         []prepared
	idleSlots        []string
}

// database has all in it that must be the same on every server.
type database struct {
	Encoding, Provider, Collate, CType, Locale string
	// Actual is the collation version that the server's library has, Recorded
	// the one that the database was made with; "" where the provider has none.
	Actual, Recorded string
}

type role struct {
	login bool
	// verifier is compared, never shown.
	verifier string
}

type prepared struct {
	gid string
	age time.Duration
}

// look asks one server. It only reads.
func look(ctx context.Context, t target, connectTimeout time.Duration) (f facts) {
	f.target = t
	conn, err := connect(ctx, t, connectTimeout)
	if err != nil {
		f.err = err
		return f
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, ask := range []func(context.Context, *pgx.Conn) error{
		f.askSettings, f.askState, f.askClock, f.askDatabases, f.askRoles, f.askLeftovers,
	} {
		if f.err = ask(ctx, conn); f.err != nil || f.versionNum < oldest {
			break
		}
	}
	return f
}

func connect(ctx context.Context, t target, timeout time.Duration) (*pgx.Conn, error) {
	password, err := t.credentials.Password()
	if err != nil && !errors.Is(err, config.ErrNoPassword) {
		return nil, err
	}
	cc, err := pgx.ParseConfig(t.server.ConnString(t.credentials.User, password, "postgres"))
	if err != nil {
		return nil, err
	}
	cc.ConnectTimeout = timeout
	return pgx.ConnectConfig(ctx, cc)
}

func (f *facts) askSettings(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT name, setting FROM pg_catalog.pg_settings`)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	f.settings = map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		f.settings[name] = value
		return nil
	})
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	// Debian adds its own version after a space.
	f.version, _, _ = strings.Cut(f.settings["server_version"], " ")
	if _, err := fmt.Sscan(f.settings["server_version_num"], &f.versionNum); err != nil {
		return fmt.Errorf("read server_version_num: %w", err)
	}
	return nil
}

func (f *facts) askState(ctx context.Context, conn *pgx.Conn) error {
	err := conn.QueryRow(ctx, `
		SELECT r.rolsuper, pg_catalog.pg_is_in_recovery(),
		       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
		       pg_catalog.pg_postmaster_start_time(),
		       coalesce((SELECT status FROM pg_catalog.pg_stat_wal_receiver), '')
		FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`).
		Scan(&f.superuser, &f.inRecovery, &f.systemID, &f.started, &f.walReceiver)
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

func (f *facts) askClock(ctx context.Context, conn *pgx.Conn) error {
	before := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.clock_timestamp()`).Scan(&theirs); err != nil {
		return fmt.Errorf("read clock: %w", err)
	}
	f.roundTrip = time.Since(before)
	f.ahead = theirs.Sub(before.Add(f.roundTrip / 2))
	return nil
}

func (f *facts) askDatabases(ctx context.Context, conn *pgx.Conn) error {
	// The ICU locale's column is daticulocale up to 16 and datlocale since.
	rows, err := conn.Query(ctx, `
		SELECT d.datname::text, pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datlocprovider::text,
		       d.datcollate, d.datctype,
		       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
		       coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), ''),
		       coalesce(d.datcollversion, '')
		FROM pg_catalog.pg_database d WHERE d.datallowconn AND NOT d.datistemplate`)
	if err != nil {
		return fmt.Errorf("read databases: %w", err)
	}
	f.databases = map[string]database{}
	var name string
	var d database
	columns := []any{&name, &d.Encoding, &d.Provider, &d.Collate, &d.CType, &d.Locale, &d.Actual, &d.Recorded}
	_, err = pgx.ForEachRow(rows, columns, func() error {
		f.databases[name] = d
		return nil
	})
	if err != nil {
		return fmt.Errorf("read databases: %w", err)
	}
	return nil
}

func (f *facts) askRoles(ctx context.Context, conn *pgx.Conn) error {
	if !f.superuser {
		return nil
	}
	rows, err := conn.Query(ctx, `
		SELECT rolname::text, rolcanlogin, coalesce(rolpassword, '')
		FROM pg_catalog.pg_authid WHERE rolname !~ '^pg_'`)
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	f.roles = map[string]role{}
	var name string
	var r role
	_, err = pgx.ForEachRow(rows, []any{&name, &r.login, &r.verifier}, func() error {
		f.roles[name] = r
		return nil
	})
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	return nil
}

func (f *facts) askLeftovers(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT gid, extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::float8
		FROM pg_catalog.pg_prepared_xacts ORDER BY prepared`)
	if err != nil {
		return fmt.Errorf("read prepared transactions: %w", err)
	}
	var gid string
	var seconds float64
	_, err = pgx.ForEachRow(rows, []any{&gid, &seconds}, func() error {
		f.prepared = append(f.prepared, prepared{gid, time.Duration(seconds * float64(time.Second))})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read prepared transactions: %w", err)
	}
	rows, err = conn.Query(ctx, `
		SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE NOT active ORDER BY 1`)
	if err != nil {
		return fmt.Errorf("read replication slots: %w", err)
	}
	f.idleSlots, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read replication slots: %w", err)
	}
	return nil
}
