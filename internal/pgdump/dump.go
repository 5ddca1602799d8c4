package pgdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options say what is dumped.
type Options struct {
	Config     *pgx.ConnConfig // the proxy and the database
	Environ    []string        // in which pg_dump finds both
	SchemaOnly bool
}

// maxAttempts is how often a dump begins, when others change the schema while pg_dump reads it. Each third time it makes
// them wait meanwhile.
const maxAttempts = 9

// errChanged is that the definitions are not of the rows' snapshot.
var errChanged = errors.New("the schema was changed meanwhile")

// dump is a dump that is being taken.
type dump struct {
	Options
	program string
	major   int
	guard   *pgx.Conn // sees what is there now
	reader  *pgx.Conn // has the snapshot
	archive *archive
	rels    []relation
	out     *script
}

// Write writes a SQL script that makes everything in a database of pleiad, for psql. All rows in it are of one snapshot of
// all servers, and so are the definitions. An error in the middle leaves a script that psql refuses at its end.
func Write(ctx context.Context, o Options, w io.Writer) error {
	d := &dump{Options: o}
	defer d.end(ctx)
	if err := d.begin(ctx); err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := d.attempt(ctx, n%3 == 0)
		if err == nil {
			break
		}
		if !errors.Is(err, errChanged) || n == maxAttempts {
			return err
		}
		if err := d.release(ctx); err != nil {
			return err
		}
	}
	d.out = &script{w: w}
	err := d.write(ctx)
	if err != nil {
		return errors.Join(err, d.out.spoil())
	}
	return nil
}

// begin connects, and finds out whether it is to pleiad.
func (d *dump) begin(ctx context.Context) error {
	for _, c := range []**pgx.Conn{&d.guard, &d.reader} {
		conn, err := pgx.ConnectConfig(ctx, d.Config)
		if err != nil {
			return fmt.Errorf("connect to the proxy: %w", err)
		}
		*c = conn
		if err := run(ctx, conn, sessionSettings...); err != nil {
			return err
		}
	}
	// The proxy alone knows this one; a server has a part of the rows.
	if err := run(ctx, d.guard, "SHOW pleiad.session_token"); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "42704" {
			return errors.New("the server is not pleiad's proxy: connect to that, or use pg_dump")
		}
		return err
	}
	err := d.guard.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000").Scan(&d.major)
	if err != nil {
		return err
	}
	if d.major >= 17 {
		if err := errors.Join(run(ctx, d.guard, noLimit), run(ctx, d.reader, noLimit)); err != nil {
			return err
		}
	}
	d.program, err = Program(ctx, d.major)
	return err
}

// sessionSettings are pg_dump's own (setup_connection): values come out exact, and nothing ends a long dump.
var sessionSettings = []string{
	"SET client_encoding = 'UTF8'", "SET DateStyle = ISO", "SET IntervalStyle = postgres", "SET extra_float_digits = 3", "SET row_security = off", "SET bytea_output = hex",
	"SET synchronize_seqscans = off", "SET statement_timeout = 0", "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0",
	"SELECT pg_catalog.set_config('search_path', '', false)",
}

// noLimit is one of them since PostgreSQL 17.
const noLimit = "SET transaction_timeout = 0"

func run(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// attempt takes definitions, locks and a snapshot that belong together. pg_dump goes first, so that its locks and these
// never wait for each other with somebody's schema change between them. With hold no schema change goes on meanwhile; then
// pg_dump does not wait for long for somebody who may be waiting for that.
func (d *dump) attempt(ctx context.Context, hold bool) error {
	var options []string
	if d.SchemaOnly {
		options = append(options, "--schema-only")
	}
	if hold {
		options = append(options, "--lock-wait-timeout=10s")
		if err := run(ctx, d.guard, begin, shareSchema); err != nil {
			return err
		}
	}
	before, err := d.epoch(ctx, d.guard)
	if err != nil {
		return err
	}
	d.archive, err = takeArchive(ctx, d.program, d.major, d.Environ, options)
	if err != nil && hold {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	if err == nil && !hold {
		err = run(ctx, d.guard, begin)
	}
	if err == nil {
		err = d.open(ctx, before)
	}
	if err != nil && !errors.Is(err, errChanged) && ctx.Err() == nil {
		// What was dropped meanwhile is an error too, and not the dump's.
		_ = run(ctx, d.guard, "ROLLBACK")
		if now, lost := d.epoch(ctx, d.guard); lost == nil && now != before {
			err = fmt.Errorf("%w: %w", errChanged, err)
		}
	}
	return err
}

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED"

// shareSchema waits for the schema change under way, and keeps others out (pleiad.begin_ddl takes this lock).
const shareSchema = "SELECT pg_catalog.pg_advisory_xact_lock_shared(1886151017, 1)"

// open takes the snapshot, with every table locked from before it until the rows have been read: what TRUNCATE or a rewrite
// has removed no snapshot sees. The guard holds the locks until the reader has them.
func (d *dump) open(ctx context.Context, before int64) error {
	rels, err := relations(ctx, d.guard)
	if err != nil {
		return err
	}
	locks := lockStatements(rels)
	if err := run(ctx, d.guard, locks...); err != nil {
		return err
	}
	if err := run(ctx, d.reader, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"); err != nil {
		return err
	}
	now, err := d.epoch(ctx, d.reader)
	if err != nil {
		return err
	}
	if now != before {
		return errChanged
	}
	// Behind somebody who waits for the guard's lock, the reader would wait for ever.
	locks = append(append([]string{"SET LOCAL lock_timeout = '1s'"}, locks...), "SET LOCAL lock_timeout = 0")
	if err := run(ctx, d.reader, locks...); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "55P03" {
			return fmt.Errorf("%w: %w", errChanged, err)
		}
		return err
	}
	if d.rels, err = relations(ctx, d.reader); err != nil {
		return err
	}
	return run(ctx, d.guard, "ROLLBACK")
}

// epoch is the version of the schema; every schema change through pleiad raises it.
func (d *dump) epoch(ctx context.Context, conn *pgx.Conn) (epoch int64, err error) {
	if err := conn.QueryRow(ctx, "SELECT epoch FROM pleiad.epoch").Scan(&epoch); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return epoch, nil
}

// lockStatements keep tables as they are.
func lockStatements(rels []relation) (all []string) {
	var names []string
	for _, r := range rels {
		if r.Kind != "sequence" {
			names = append(names, r.Name)
		}
	}
	for some := range slices.Chunk(names, 100) {
		all = append(all, "LOCK TABLE "+strings.Join(some, ", ")+" IN ACCESS SHARE MODE")
	}
	return all
}

// release gives up what an attempt has.
func (d *dump) release(ctx context.Context) error {
	var err error
	if d.archive != nil {
		err = d.archive.remove()
		d.archive = nil
	}
	return errors.Join(err, run(ctx, d.guard, "ROLLBACK"), run(ctx, d.reader, "ROLLBACK"))
}

func (d *dump) end(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, c := range []*pgx.Conn{d.guard, d.reader} {
		if c != nil {
			_ = c.Close(ctx)
		}
	}
	if d.archive != nil {
		_ = d.archive.remove()
	}
}
