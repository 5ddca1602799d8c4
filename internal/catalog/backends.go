package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Backend is one backend as home's catalog knows it.
type Backend struct {
	ID     int // index in every placement
	Name   string
	Home   bool
	Weight float64 // its share of shards, 1 by default
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
		changed := false
		for _, b := range backends {
			tag, err := tx.Exec(ctx, `INSERT INTO pleiad.backend AS o (id, name, home, weight)
				SELECT (SELECT coalesce(max(id), -1) + 1 FROM pleiad.backend), $1, $2, $3
				ON CONFLICT (name) DO UPDATE SET home = excluded.home, weight = excluded.weight
				WHERE (o.home, o.weight) <> (excluded.home, excluded.weight)`, b.Name, b.Home, b.Weight)
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
		rows, err := tx.Query(ctx, "SELECT id, name, home, weight FROM pleiad.backend ORDER BY id")
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
}

// PutServers makes view pleiad.backends show these servers and no others. Rows that do not change are not
// written. conn is to home, as the service role.
func PutServers(ctx context.Context, conn *pgx.Conn, servers []Server) error {
	batch := &pgx.Batch{}
	names := make([]string, 0, len(servers))
	for _, s := range servers {
		names = append(names, s.Name)
		batch.Queue(`INSERT INTO pleiad.server AS o (name, backend, role, host, port, state, detail, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (name) DO UPDATE SET backend = excluded.backend, role = excluded.role,
				host = excluded.host, port = excluded.port, state = excluded.state, detail = excluded.detail,
				version = excluded.version, changed = now()
			WHERE (o.backend, o.role, o.host, o.port, o.state, o.detail, o.version)
				<> (excluded.backend, excluded.role, excluded.host, excluded.port, excluded.state,
					excluded.detail, excluded.version)`,
			s.Name, s.Backend, s.Role, s.Host, s.Port, s.State, s.Detail, s.Version)
	}
	batch.Queue("DELETE FROM pleiad.server WHERE name <> ALL ($1::text[])", names)
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err != nil {
		return fmt.Errorf("write servers: %w", err)
	}
	return nil
}
