package replication

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table names a table whose changes are published.
type Table struct{ Schema, Name string }

// SQL is the table's name, quoted.
func (t Table) SQL() string { return quoteIdent(t.Schema) + "." + quoteIdent(t.Name) }

// Publish makes a publication of the tables. One without a primary key gets REPLICA IDENTITY FULL first, for its updates
// and deletes would fail from then on otherwise.
func Publish(ctx context.Context, conn *pgx.Conn, name string, tables []Table) error {
	list := make([]string, len(tables))
	for i, t := range tables {
		list[i] = t.SQL()
		var identified bool
		err := conn.QueryRow(ctx, `SELECT c.relreplident <> 'd' OR EXISTS (SELECT FROM pg_catalog.pg_index i
			WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid)
			FROM pg_catalog.pg_class c WHERE c.oid = $1::text::regclass`, t.SQL()).Scan(&identified)
		if err != nil {
			return fmt.Errorf("publish %s: %w", t.SQL(), err)
		}
		if identified {
			continue
		}
		if _, err := conn.Exec(ctx, "ALTER TABLE "+t.SQL()+" REPLICA IDENTITY FULL"); err != nil {
			return fmt.Errorf("publish %s: %w", t.SQL(), err)
		}
	}
	if _, err := conn.Exec(ctx, "CREATE PUBLICATION "+name+" FOR TABLE ONLY "+strings.Join(list, ", ONLY ")); err != nil {
		return fmt.Errorf("create publication %s: %w", name, err)
	}
	return nil
}

// Unpublish drops a publication if it is there. The tables that are left get their replica identity back.
func Unpublish(ctx context.Context, conn *pgx.Conn, name string) error {
	rows, err := conn.Query(ctx, `SELECT p.schemaname::text, p.tablename::text FROM pg_catalog.pg_publication_tables p
		JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
		WHERE p.pubname = $1 AND c.relreplident = 'f'`, name)
	if err != nil {
		return fmt.Errorf("read publication %s: %w", name, err)
	}
	full, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Table])
	if err != nil {
		return fmt.Errorf("read publication %s: %w", name, err)
	}
	if _, err := conn.Exec(ctx, "DROP PUBLICATION IF EXISTS "+name); err != nil {
		return fmt.Errorf("drop publication %s: %w", name, err)
	}
	for _, t := range full {
		if _, err := conn.Exec(ctx, "ALTER TABLE "+t.SQL()+" REPLICA IDENTITY DEFAULT"); err != nil {
			return fmt.Errorf("reset replica identity of %s: %w", t.SQL(), err)
		}
	}
	return nil
}
