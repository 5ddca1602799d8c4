package pgdump

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// relation is a table with rows, or a sequence. Names and expressions are SQL.
type relation struct {
	OID      string
	Name     string
	Kind     string // "sharded", "reference", "local" or "sequence"
	Columns  string // those that are not generated, as a list; "" for none
	Filter   string // of an extension's table: which rows are not the extension's own
	Member   bool   // of an extension, which makes it
	Key      string // HASH (…) of a sharded table
	Shards   int
	Storage  string // parameters of a sharded table's partitions, as WITH takes them
	Settings string // what pleiad.table_option has for it, as ALTER TABLE … SET takes it
}

// relationsSQL lists what has rows. The storage parameters of a sharded table are those of its partitions: none of them has
// others, and any that is on home shows them. (Where home has none they are not known; rows do not depend on them.)
const relationsSQL = `SELECT c.oid::text, pg_catalog.format('%I.%I', n.nspname, c.relname),
	CASE WHEN c.relkind = 'S' THEN 'sequence' WHEN s.relid IS NOT NULL THEN 'sharded' WHEN r.relid IS NOT NULL THEN 'reference' ELSE 'local' END,
	coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), ''),
	coalesce(x.filter, ''), x.member IS NOT NULL,
	CASE WHEN s.relid IS NULL THEN '' ELSE pg_catalog.pg_get_partkeydef(c.oid) END, coalesce(g.modulus, 0),
	coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('%s = %L', o.name, o.value), ', ') FROM (
			SELECT p.oid, p.reloptions, t.reloptions AS toast FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid
				LEFT JOIN pg_catalog.pg_class t ON t.oid = p.reltoastrelid
				WHERE s.relid IS NOT NULL AND i.inhparent = c.oid ORDER BY p.oid LIMIT 1) p
		CROSS JOIN LATERAL (SELECT option_name AS name, option_value AS value FROM pg_catalog.pg_options_to_table(p.reloptions)
			UNION ALL SELECT 'toast.' || option_name, option_value FROM pg_catalog.pg_options_to_table(p.toast)) o), ''),
	CASE o.sync WHEN true THEN 'pleiad.replication = sync' WHEN false THEN 'pleiad.replication = async' ELSE '' END
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pleiad.sharded s ON s.relid = c.oid LEFT JOIN pleiad.colocation g ON g.id = s.group_id
	LEFT JOIN pleiad.reference r ON r.relid = c.oid LEFT JOIN pleiad.table_option o ON o.relid = c.oid
	LEFT JOIN LATERAL (SELECT d.refobjid AS member, e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)] AS filter
		FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
		WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
			AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e') x ON true
	WHERE (c.relkind IN ('r', 'S') OR s.relid IS NOT NULL) AND c.relpersistence <> 't'
		AND n.nspname !~ '^(pg_|pleiad(_[0-9]+)?$)' AND n.nspname <> 'information_schema'
		AND (x.member IS NULL OR x.filter IS NOT NULL)
	ORDER BY n.nspname, c.relname`

func relations(ctx context.Context, conn *pgx.Conn) ([]relation, error) {
	rows, err := conn.Query(ctx, relationsSQL)
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	return all, nil
}

// objectsSQL gives, for each large object, its number and the statements that make it without its contents.
const objectsSQL = `SELECT m.oid, pg_catalog.format(E'SELECT pg_catalog.lo_create(%s);\nALTER LARGE OBJECT %s OWNER TO %I;\n', m.oid, m.oid, pg_catalog.pg_get_userbyid(m.lomowner))
	|| coalesce((SELECT pg_catalog.string_agg(pg_catalog.format(E'GRANT %s ON LARGE OBJECT %s TO %s%s;\n', a.privilege_type, m.oid,
			CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
			CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
		FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner), '')
	|| coalesce((SELECT pg_catalog.format(E'COMMENT ON LARGE OBJECT %s IS %L;\n', m.oid, d.description) FROM pg_catalog.pg_description d
		WHERE d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass AND d.objoid = m.oid), '')
	FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid`
