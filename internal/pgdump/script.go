package pgdump

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// script is the dump as it is written.
type script struct {
	w       io.Writer
	copying bool // inside of COPY's rows
	begun   bool
	// What the statements before have set for tables that are created from here on.
	distribution string
	shards       int
}

func (s *script) text(parts ...string) error {
	s.begun = true
	_, err := io.WriteString(s.w, strings.Join(parts, ""))
	return err
}

// spoil ends a script that is not complete: who runs it gets an error.
func (s *script) spoil() error {
	if !s.begun {
		return nil
	}
	end := "\nTHIS DUMP IS NOT COMPLETE: pleiad dump ended with an error here;\n"
	if s.copying {
		end = "\n\\.\n" + end
	}
	return s.text(end)
}

// tables makes pleiad create tables as r is. Another PostgreSQL keeps these settings and does not look at them.
func (s *script) tables(distribution string, shards int) error {
	if s.distribution != distribution {
		s.distribution = distribution
		if err := s.text("SET pleiad.default_distribution = ", literal(distribution), ";\n"); err != nil {
			return err
		}
	}
	if shards > 0 && s.shards != shards {
		s.shards = shards
		return s.text("SET pleiad.shard_count = ", strconv.Itoa(shards), ";\n")
	}
	return nil
}

const scriptBegin = `--
-- pleiad database dump
--
-- For psql -X -v ON_ERROR_STOP=1 -f, in an empty database of a pleiad cluster or of one PostgreSQL. Roles are not in it:
-- pg_dumpall --roles-only.
--

`

const restoredEnd = `
--
-- pleiad database dump complete
--
`

func (d *dump) write(ctx context.Context) error {
	pre, err := d.archive.contents(ctx, "pre-data")
	if err != nil {
		return err
	}
	post, err := d.archive.contents(ctx, "post-data")
	if err != nil {
		return err
	}
	if err := d.complete(pre); err != nil {
		return err
	}
	first, key, err := d.archive.sql(ctx, nil, true)
	if err != nil {
		return err
	}
	if key != "" {
		key = "restrict " + key + "\n\n"
		first = "\\" + key + first
		key = "\n\\un" + key
	}
	// A table is distributed as its definition says, whatever the cluster's defaults are.
	if err := d.out.text(scriptBegin, first, "SET pleiad.hash = 'postgres';\n"); err != nil {
		return err
	}
	if err := d.define(ctx, pre); err != nil {
		return err
	}
	if !d.SchemaOnly {
		if err := d.rows(ctx, pre); err != nil {
			return err
		}
	}
	last, _, err := d.archive.sql(ctx, post, false)
	if err != nil {
		return err
	}
	if err := d.out.text(last); err != nil {
		return err
	}
	for _, r := range d.rels {
		if r.Settings == "" {
			continue
		}
		if err := d.out.text(settingsOf(r.Name, r.Settings)); err != nil {
			return err
		}
	}
	return d.out.text(restoredEnd, key)
}

// settingsOf gives a table settings of pleiad's own, where there is pleiad.
func settingsOf(table, settings string) string {
	return "DO " + literal("BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pleiad') THEN\n"+
		"  ALTER TABLE "+table+" SET ("+settings+"); END IF; END") + ";\n\n"
}

// complete checks that the definitions are those of the tables whose rows will be taken, one by one.
func (d *dump) complete(pre []entry) error {
	made := map[string]bool{}
	for _, e := range pre {
		made[e.oid] = made[e.oid] || e.catalog == pgClass
	}
	for _, r := range d.rels {
		if !made[r.OID] && !r.Member {
			return fmt.Errorf("pg_dump has no definition of %s", r.Name)
		}
		delete(made, r.OID)
	}
	return nil
}

// define writes the definitions that go ahead of the rows.
func (d *dump) define(ctx context.Context, pre []entry) error {
	spread := map[string]relation{}
	for _, r := range d.rels {
		if r.Kind == "sharded" || r.Kind == "reference" {
			spread[r.OID] = r
		}
	}
	for len(pre) > 0 {
		r, ok := spread[pre[0].oid]
		n := 1
		if ok = ok && pre[0].table; !ok {
			for n < len(pre) && !(pre[n].table && spread[pre[n].oid].OID != "") {
				n++
			}
		}
		text, _, err := d.archive.sql(ctx, pre[:n], false)
		if err != nil {
			return err
		}
		distribution := "local"
		switch {
		case ok && r.Kind == "sharded":
			distribution = r.Key
			text, err = r.plainTable(text)
		case ok:
			distribution = "reference"
		}
		if err == nil {
			err = d.out.tables(distribution, r.Shards)
		}
		if err == nil {
			err = d.out.text(text)
		}
		if err != nil {
			return err
		}
		pre = pre[n:]
	}
	return nil
}

// plainTable is CREATE TABLE of a sharded table without PARTITION BY, as pleiad.default_distribution has it then: in one
// PostgreSQL it is a table with rows, not a parent without partitions.
func (r *relation) plainTable(text string) (string, error) {
	by := "\n)\nPARTITION BY " + r.Key + ";\n" // pg_dump.c, dumpTableSchema
	at := strings.LastIndex(text, by)
	if at < 0 {
		return "", fmt.Errorf("the definition of %s has another form than expected", r.Name)
	}
	end := "\n);\n"
	if r.Storage != "" {
		end = "\n)\nWITH (" + r.Storage + ");\n"
	}
	return text[:at] + end + text[at+len(by):], nil
}

// rows writes the rows of every table, in the order of their definitions, the sequences and the large objects.
func (d *dump) rows(ctx context.Context, pre []entry) error {
	if err := d.out.text("\n"); err != nil {
		return err
	}
	place := map[string]int{}
	for i, e := range pre {
		if e.catalog == pgClass {
			place[e.oid] = i + 1 // 0: an extension's, which comes first
		}
	}
	var sequences []relation
	tables := make([][]relation, len(pre)+1)
	for _, r := range d.rels {
		if r.Kind == "sequence" {
			sequences = append(sequences, r)
			continue
		}
		tables[place[r.OID]] = append(tables[place[r.OID]], r)
	}
	// Ahead of the tables, which take time: a value that the snapshot has in a row was drawn before it.
	values, err := d.sequenceValues(ctx, sequences)
	if err != nil {
		return err
	}
	for _, list := range tables {
		for _, r := range list {
			if err := d.copyRows(ctx, &r); err != nil {
				return fmt.Errorf("copy %s: %w", r.Name, err)
			}
		}
	}
	if err := d.out.text(values); err != nil {
		return err
	}
	return d.largeObjects(ctx)
}

func (d *dump) sequenceValues(ctx context.Context, sequences []relation) (string, error) {
	var out strings.Builder
	for _, r := range sequences {
		var last int64
		var called bool
		if err := d.reader.QueryRow(ctx, "SELECT last_value, is_called FROM "+r.Name).Scan(&last, &called); err != nil {
			return "", fmt.Errorf("read sequence %s: %w", r.Name, err)
		}
		fmt.Fprintf(&out, "SELECT pg_catalog.setval(%s, %d, %v);\n", literal(r.Name), last, called)
	}
	return out.String() + "\n", nil
}

// copyRows passes the rows on as they come.
func (d *dump) copyRows(ctx context.Context, r *relation) error {
	columns := ""
	if r.Columns != "" {
		columns = " (" + r.Columns + ")"
	}
	source := r.Name + columns
	if r.Filter != "" {
		source = "(SELECT " + r.Columns + " FROM ONLY " + r.Name + " " + r.Filter + ")"
	}
	if err := d.out.text("COPY ", r.Name, columns, " FROM stdin;\n"); err != nil {
		return err
	}
	d.out.copying = true
	if _, err := d.reader.PgConn().CopyTo(ctx, d.out.w, "COPY "+source+" TO STDOUT"); err != nil {
		return err
	}
	d.out.copying = false
	return d.out.text("\\.\n\n")
}

// objectPart is how many bytes of a large object are read at a time.
const objectPart = 64 << 10

func (d *dump) largeObjects(ctx context.Context) error {
	type object struct {
		OID  uint32
		Make string
	}
	rows, err := d.reader.Query(ctx, objectsSQL)
	if err != nil {
		return fmt.Errorf("read large objects: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[object])
	if err != nil {
		return fmt.Errorf("read large objects: %w", err)
	}
	for _, o := range all {
		if err := d.out.text(o.Make); err != nil {
			return err
		}
		for at := int64(0); ; at += objectPart {
			var part []byte
			if err := d.reader.QueryRow(ctx, fmt.Sprintf("SELECT pg_catalog.lo_get(%d, %d, %d)", o.OID, at, objectPart)).Scan(&part); err != nil {
				return fmt.Errorf("read large object %d: %w", o.OID, err)
			}
			if len(part) == 0 {
				break
			}
			if err := d.out.text(fmt.Sprintf("SELECT pg_catalog.lo_put(%d, %d, '\\x%x');\n", o.OID, at, part)); err != nil {
				return err
			}
		}
	}
	return nil
}

// literal is a string constant.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
