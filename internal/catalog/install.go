// Package catalog keeps pleiad's metadata as rows of schema pleiad on each backend: it installs that schema, reads
// it as a router.Schema and writes what only the proxy knows. Users' statements change it through the
// functions of sql/functions.sql, in their own transactions.
package catalog

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/router/shardmap"
)

// Role says which part a backend has in the catalog.
type Role uint8

// Home's catalog has the rows; the others have the functions and empty tables.
const (
	RoleOther Role = iota
	RoleHome
)

//go:embed sql/*.sql
var files embed.FS

// migrations run once each, in this order; the version is how many ran.
var migrations = []string{
	"sql/001_tables.sql", "sql/002_secret.sql", "sql/003_trusted.sql", "sql/020_moves.sql", "sql/030_in_doubt.sql",
	"sql/010_primary.sql", "sql/040_move_timelines.sql", "sql/050_refresh.sql",
}

// replaced are run whenever their text differs from what is installed.
var replaced = []string{"sql/functions.sql", "sql/aggregates.sql", "sql/snapshot.sql", "sql/moves.sql", "sql/views.sql", "sql/refresh.sql"}

// ErrNewerCatalog says that a newer pleiad has upgraded this database's catalog.
var ErrNewerCatalog = errors.New("catalog was installed by a newer version of pleiad")

// ErrRole says that the backend was installed as home and is now given as another, or the reverse.
var ErrRole = errors.New("backend has another role in the catalog")

// installLock keeps proxies from installing in one database at once; the second key differs from begin_ddl's.
const installLock = "SELECT pg_advisory_xact_lock(1886151017, 2)"

// Install creates or upgrades schema pleiad in the connection's database; where all is in place it only reads. The
// connection's role owns the schema and should be a superuser: partitions are handed to their tables' owners,
// and only a superuser can create the murmur3 operator classes (they are left out otherwise).
func Install(ctx context.Context, conn *pgx.Conn, role Role) error {
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return install(ctx, tx, role) }); err != nil {
		return fmt.Errorf("install catalog: %w", err)
	}
	return nil
}

func install(ctx context.Context, tx pgx.Tx, role Role) error {
	if err := exec(ctx, tx, "SET LOCAL search_path = pg_catalog; SET LOCAL check_function_bodies = off;"+
		"SET LOCAL client_min_messages = warning; SET LOCAL synchronous_commit = on"); err != nil {
		return err
	}
	if err := exec(ctx, tx, installLock); err != nil {
		return err
	}
	version, err := migrate(ctx, tx)
	if err != nil {
		return err
	}
	var super bool
	err = tx.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super)
	if err != nil {
		return fmt.Errorf("read own rights: %w", err)
	}
	want, err := sourceHash(super)
	if err != nil {
		return err
	}
	var have string
	var home bool
	err = tx.QueryRow(ctx, "SELECT source_hash, home FROM pleiad.node").Scan(&have, &home)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		have, home = "", role == RoleHome
	case err != nil:
		return fmt.Errorf("read installed functions: %w", err)
	}
	if home != (role == RoleHome) {
		return fmt.Errorf("%w: installed as home: %t", ErrRole, home)
	}
	if have == want {
		return nil
	}
	return replace(ctx, tx, super, home, want, version)
}

// migrate creates the schema where it is missing and runs the migrations that are.
func migrate(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('pleiad.version') IS NOT NULL").Scan(&exists); err != nil {
		return 0, fmt.Errorf("look for catalog: %w", err)
	}
	if !exists {
		err := exec(ctx, tx, "CREATE SCHEMA IF NOT EXISTS pleiad;"+
			"CREATE TABLE pleiad.version (version int NOT NULL); INSERT INTO pleiad.version VALUES (0)")
		if err != nil {
			return 0, err
		}
	}
	if err := tx.QueryRow(ctx, "SELECT version FROM pleiad.version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read catalog version: %w", err)
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("%w: version %d, known %d", ErrNewerCatalog, version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		sql, err := files.ReadFile(migrations[version])
		if err != nil {
			return 0, err
		}
		if err := exec(ctx, tx, string(sql)); err != nil {
			return 0, fmt.Errorf("upgrade catalog to version %d: %w", version+1, err)
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE pleiad.version SET version = $1 WHERE version <> $1", version); err != nil {
		return 0, fmt.Errorf("write catalog version: %w", err)
	}
	return version, nil
}

func replace(ctx context.Context, tx pgx.Tx, super, home bool, hash string, version int) error {
	if super {
		if err := exec(ctx, tx, shardmap.Murmur3SQL()); err != nil {
			return fmt.Errorf("install murmur3 operator classes: %w", err)
		}
	}
	for _, name := range replaced {
		sql, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := exec(ctx, tx, string(sql)); err != nil {
			return fmt.Errorf("install %s at version %d: %w", strings.TrimPrefix(name, "sql/"), version, err)
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO pleiad.node (home, source_hash) VALUES ($1, $2)
		ON CONFLICT (one) DO UPDATE SET source_hash = excluded.source_hash`, home, hash)
	if err != nil {
		return fmt.Errorf("write installed functions: %w", err)
	}
	return nil
}

func sourceHash(super bool) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, super)
	if super {
		fmt.Fprintln(h, shardmap.Murmur3SQL())
	}
	for _, name := range replaced {
		sql, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		h.Write(sql)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// exec runs a script of several statements.
func exec(ctx context.Context, tx pgx.Tx, script string) error {
	if _, err := tx.Conn().PgConn().Exec(ctx, script).ReadAll(); err != nil {
		return err
	}
	return nil
}
