package integration

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// What pleiad's DDL adds to PostgreSQL's is taken away before a plain server sees it: it says where rows
// are, not what they are.
var pleiadOnly = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\s*with\s*\(\s*pleiad\.reference\s*\)`),
	regexp.MustCompile(`(?i)\s+pleiad\.murmur3_ops\b`),
}

var makesSharded = regexp.MustCompile(`(?is)partition\s+by\s+hash`)

// copyTable is COPY of a whole table, which PostgreSQL refuses for a partitioned one: it wants a query there.
// To a client of pleiad a sharded table is a table.
var copyTable = regexp.MustCompile(`(?i)^(copy\s+)([\w."]+)(?:\s*\(([^)]*)\))?(\s+to\s+stdout)`)

// dialect is the text for this side.
func (s *side) dialect(sql string) string {
	if s.pleiad {
		return sql
	}
	for _, re := range pleiadOnly {
		sql = re.ReplaceAllString(sql, "")
	}
	if m := copyTable.FindStringSubmatchIndex(sql); m != nil && !strings.Contains(sql, "nosuch") {
		columns := "*"
		if m[6] >= 0 {
			columns = sql[m[6]:m[7]]
		}
		sql = "copy (select " + columns + " from " + sql[m[4]:m[5]] + ")" + sql[m[8]:]
	}
	return sql
}

// afterDDL gives hash-partitioned tables that have no partition yet the ones that pleiad would have made:
// same modulus, same names, same schemas (pleiad_0 …), so that messages naming them agree. A failed
// transaction block has nothing to add to.
func (s *side) afterDDL(ctx context.Context, c *pgconn.PgConn, sql string) error {
	if s.pleiad || !makesSharded.MatchString(sql) || c.TxStatus() == 'E' {
		return nil
	}
	if err := c.Exec(ctx, makePartitions).Close(); err != nil {
		return fmt.Errorf("make partitions after %s: %w", brief(sql), err)
	}
	return nil
}

// makePartitions is one statement, so that it also works between a client's BEGIN and COMMIT.
var makePartitions = strings.ReplaceAll(`
do $do$
declare
  parent record;
  modulus int := coalesce(nullif(current_setting('pleiad.shard_count', true), ''), '32');
  suffix text;
  quiet text := current_setting('client_min_messages');
begin
  perform set_config('client_min_messages', 'warning', true);
  for parent in
    select c.oid, n.nspname, c.relname, pg_get_userbyid(c.relowner) as owner
    from pg_partitioned_table p join pg_class c on c.oid = p.partrelid join pg_namespace n on n.oid = c.relnamespace
    where p.partstrat = 'h' and not c.relispartition
      and not exists (select from pg_inherits i where i.inhparent = c.oid)
    order by c.oid
  loop
    suffix := case when parent.nspname = 'public' then '' else '_' || parent.nspname end;
    for i in 0 .. modulus - 1 loop
      execute format('create schema if not exists %I', 'pleiad_' || i || suffix);
      execute format('create table %I.%I partition of %I.%I for values with (modulus %s, remainder %s)',
        'pleiad_' || i || suffix, parent.relname, parent.nspname, parent.relname, modulus, i);
    end loop;
  end loop;
  perform set_config('client_min_messages', quiet, true);
end $do$`, "\n", " ")

// loadRows fills a table with what a query gives that reads no table. It stands for INSERT … SELECT where
// only the rows matter.
func loadRows(ctx context.Context, c *pgconn.PgConn, table, query string) error {
	var rows bytes.Buffer
	if _, err := c.CopyTo(ctx, &rows, "copy ("+query+") to stdout"); err != nil {
		return fmt.Errorf("make rows for %s: %w", table, err)
	}
	if _, err := c.CopyFrom(ctx, &rows, "copy "+table+" from stdin"); err != nil {
		return fmt.Errorf("load %s: %w", table, err)
	}
	return nil
}
