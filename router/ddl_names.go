package router

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/pleiad/pleiad/router/sqlparse"
)

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteName quotes a qualified name; schema may be "".
func quoteName(schema, name string) string {
	if schema == "" {
		return quoteIdent(name)
	}
	return quoteIdent(schema) + "." + quoteIdent(name)
}

// quoteLiteral is right under standard_conforming_strings, which is always on.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// regclass is an expression for a relation's oid.
func regclass(schema, name string) string {
	return quoteLiteral(quoteName(schema, name)) + "::pg_catalog.regclass"
}

// maxName is PostgreSQL's NAMEDATALEN - 1.
const maxName = 63

// ShardRelation names a table's partitions in the shard schemas: the equal of SQL function pleiad.shard_relation.
func ShardRelation(schema, name string) string {
	full := name
	if schema != "public" {
		full = schema + "." + name
	}
	if !strings.Contains(schema+name, ".") && len(full) <= maxName {
		return full
	}
	const room = 52
	cut, runes := 0, 0
	for cut < len(full) && runes < room {
		_, n := utf8.DecodeRuneInString(full[cut:])
		if cut+n > room {
			break
		}
		cut += n
		runes++
	}
	return full[:cut] + "_" + nameHash(schema, name)
}

// nameHash is ten hex digits that tell qualified names apart.
func nameHash(schema, name string) string {
	sum := md5.Sum([]byte(quoteName(schema, name)))
	return hex.EncodeToString(sum[:])[:10]
}

// shardSchema is true of the schemas that hold partitions, and of the catalog's.
func shardSchema(schema string) bool {
	rest, ok := strings.CutPrefix(schema, "pleiad")
	if !ok || rest == "" {
		return ok
	}
	return rest[0] == '_' && len(rest) > 1 && strings.Trim(rest[1:], "0123456789") == ""
}

// tempSchema is true of the session's own schema, and of other sessions' by their names.
func tempSchema(schema string) bool {
	return schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_")
}

// listName reads a qualified name given as a list of strings: its last two parts.
func listName(list []sqlparse.Node) (schema, name string) {
	parts := sqlparse.Strings(list)
	switch n := len(parts); {
	case n == 0:
		return "", ""
	case n == 1:
		return "", parts[0]
	default:
		return parts[n-2], parts[n-1]
	}
}

// rangeVar makes a relation's name of its parts.
func rangeVar(schema, name string) *sqlparse.RangeVar {
	return &sqlparse.RangeVar{Schemaname: schema, Relname: name, Inh: true, Relpersistence: "p"}
}

// resolve finds the relation that rv means to this statement. temp is true for the session's own; a nil table
// that is not temp does not exist, and PostgreSQL on home has the error for it.
func (d *ddl) resolve(rv *sqlparse.RangeVar) (t *Table, temp bool) {
	if rv.GetRelpersistence() == "t" {
		return nil, true
	}
	t, known := d.env.resolve(rv)
	if t == nil && known {
		unqualified := rv.Schemaname == "" && d.env.Temp[rv.Relname]
		return nil, unqualified || tempSchema(rv.Schemaname)
	}
	return t, false
}

// creationSchema is where an unqualified new object goes: the first schema of the path. "" if there is none.
func (d *ddl) creationSchema(schema string) string {
	if schema != "" {
		return schema
	}
	for _, p := range d.env.Path {
		if p != "pg_temp" {
			return p
		}
	}
	return ""
}

// takeOutOnly notes the word ONLY before rv, when its table is sharded.
func (d *ddl) takeOutOnly(rv *sqlparse.RangeVar) {
	if rv.Inh {
		return
	}
	toks := sqlparse.Tokens(d.text)
	for i, t := range toks {
		if t.Start != int(rv.Location) || i == 0 {
			continue
		}
		switch {
		case toks[i-1].Word == "only":
			d.only = append(d.only, Splice{Start: toks[i-1].Start, End: toks[i-1].End})
		case i > 1 && toks[i-1].Punct == '(' && toks[i-2].Word == "only":
			d.only = append(d.only, Splice{Start: toks[i-2].Start, End: toks[i-1].End})
			for _, c := range toks[i:] {
				if c.Punct == ')' && c.Depth == toks[i-1].Depth {
					d.only = append(d.only, Splice{Start: c.Start, End: c.End})
					break
				}
			}
		}
	}
}
