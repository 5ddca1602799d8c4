package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Backend is one backend as home's catalog knows it.
type Backend struct {
	ID     int // index in every placement
	Name   string
	Home   bool
	Weight float64 // its share of shards, 1 by default
	State  string  // as PutBackends found or made it
}

// PutBackends makes the catalog's list hold these backends, in order: new ones get the next ids, known ones
// their weight. A known backend that is not given stays, because shards may be on it. It returns the list, by id.
// Exactly one must be home. conn is to home, as the service role.
func PutBackends(ctx context.Context, conn *pgx.Conn, backends []Backend) ([]Backend, error) {
	var out []Backend
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE pleiad.backend IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		// The first backends found the cluster; later ones have nothing of it until they are added (pleiad.add_backend).
		state := "active"
		err := tx.QueryRow(ctx, "SELECT CASE WHEN EXISTS (SELECT FROM pleiad.backend) THEN 'absent' ELSE 'active' END").Scan(&state)
		if err != nil {
			return err
		}
		changed := false
		for _, b := range backends {
			tag, err := tx.Exec(ctx, `INSERT INTO pleiad.backend AS o (id, name, home, weight, state)
				SELECT (SELECT coalesce(max(id), -1) + 1 FROM pleiad.backend), $1, $2, $3, $4
				ON CONFLICT (name) DO UPDATE SET home = excluded.home, weight = excluded.weight
				WHERE (o.home, o.weight) <> (excluded.home, excluded.weight)`, b.Name, b.Home, b.Weight, state)
			if err != nil {
				return fmt.Errorf("backend %q: %w", b.Name, err)
			}
			changed = changed || tag.RowsAffected() > 0
		}
		if changed {
			if _, err := tx.Exec(ctx, "SELECT pleiad.begin_ddl()"); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, "SELECT id, name, home, weight, state FROM pleiad.backend ORDER BY id")
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Backend])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write backends: %w", err)
	}
	return out, nil
}

// Server is one PostgreSQL server as view pleiad.backends shows it.
type Server struct {
	Name    string
	Backend string
	Role    string // "primary" or "replica"
	Host    string
	Port    int
	State   string // "up", "down" …
	Detail  string // why, when it is not up
	Version string // server_version, "" when not known yet
	Position
}

// Position is where a server's log is; absent values are not known.
type Position struct {
	Timeline *int64
	LSN      *string    // a standby's: replayed
	LagBytes *int64     // a standby's, behind its primary
	LagMS    *int64     // a standby's: how old its data may be
	Since    *time.Time // a primary's: when it became that
}

// Same tells whether two states of a server differ in their positions at most.
func (s Server) Same(o Server) bool {
	s.Position, o.Position = Position{}, Position{}
	return s == o
}

// PutServers makes view pleiad.backends show these servers and no others. Rows that do not change are not
// written. conn is to home, as the service role.
func PutServers(ctx context.Context, conn *pgx.Conn, servers []Server) error {
	batch := &pgx.Batch{}
	names := make([]string, 0, len(servers))
	for _, s := range servers {
		names = append(names, s.Name)
		batch.Queue(`INSERT INTO pleiad.server AS o (name, backend, role, host, port, state, detail, version,
				timeline, lsn, lag_bytes, lag_ms, since)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::pg_lsn, $11, $12, $13)
			ON CONFLICT (name) DO UPDATE SET backend = excluded.backend, role = excluded.role,
				host = excluded.host, port = excluded.port, state = excluded.state, detail = excluded.detail,
				version = excluded.version, changed = CASE WHEN o.state = excluded.state AND o.role = excluded.role
					THEN o.changed ELSE now() END,
				timeline = excluded.timeline, lsn = excluded.lsn, lag_bytes = excluded.lag_bytes,
				lag_ms = excluded.lag_ms, since = excluded.since
			WHERE (o.backend, o.role, o.host, o.port, o.state, o.detail, o.version, o.timeline, o.lsn, o.lag_bytes, o.lag_ms, o.since)
				IS DISTINCT FROM (excluded.backend, excluded.role, excluded.host, excluded.port, excluded.state,
					excluded.detail, excluded.version, excluded.timeline, excluded.lsn, excluded.lag_bytes,
					excluded.lag_ms, excluded.since)`,
			s.Name, s.Backend, s.Role, s.Host, s.Port, s.State, s.Detail, s.Version,
			s.Timeline, s.LSN, s.LagBytes, s.LagMS, s.Since)
	}
	batch.Queue("DELETE FROM pleiad.server WHERE name <> ALL ($1::text[])", names)
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err != nil {
		return fmt.Errorf("write servers: %w", err)
	}
	return nil
}

// PutPrimary records which server is a backend's primary, unless a later timeline is recorded. conn is to the
// maintenance database of any backend's primary, as the service role.
func PutPrimary(ctx context.Context, conn *pgx.Conn, backend, server string, timeline uint32) error {
	_, err := conn.Exec(ctx, `INSERT INTO pleiad.primary_server AS o (backend, server, timeline) VALUES ($1, $2, $3)
		ON CONFLICT (backend) DO UPDATE SET server = excluded.server, timeline = excluded.timeline, since = now()
		WHERE o.timeline <= excluded.timeline AND (o.server, o.timeline) <> (excluded.server, excluded.timeline)`,
		backend, server, int64(timeline))
	if err != nil {
		return fmt.Errorf("record primary of backend %q: %w", backend, err)
	}
	return nil
}

// Primary is a record of PutPrimary.
type Primary struct {
	Backend, Server string
	Timeline        int64
}

// Primaries reads the records that one server has; none where the catalog is not installed or is older. A standby has
// them too.
func Primaries(ctx context.Context, conn *pgx.Conn) ([]Primary, error) {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.to_regclass('pleiad.primary_server') IS NOT NULL").Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT backend, server, timeline FROM pleiad.primary_server")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Primary])
}
