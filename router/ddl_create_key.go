package router

import (
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// options reads WITH (pleiad.…) and takes it out of the text.
func (c *newTable) options() *pgerr.Error {
	keep := 0
	var ours []*sqlparse.DefElem
	for _, n := range c.s.Options {
		def := n.GetDefElem()
		if def.Defnamespace != "pleiad" {
			keep++
			continue
		}
		ours = append(ours, def)
		if def.Defname == "replication" {
			if err := c.replication(optionValue(def)); err != nil {
				return err
			}
			continue
		}
		on := true
		switch v := optionValue(def); v {
		case "", "true", "on", "1", "yes":
		case "false", "off", "0", "no":
			on = false
		default:
			return pgerr.New(pgerr.InvalidParameterValue, "invalid value for boolean option \"pleiad.%s\": %s", def.Defname, v).
				WithHint("Write true or false.")
		}
		switch def.Defname {
		case "reference", "local":
			if on && c.option != "" && c.option != def.Defname {
				return refOption
			}
			c.plain = c.plain || !on && def.Defname == "reference"
			if on {
				c.option = def.Defname
			}
		default:
			return pgerr.New(pgerr.InvalidParameterValue, "unrecognized parameter \"pleiad.%s\"", def.Defname).
				WithHint("Known are pleiad.reference, pleiad.local and pleiad.replication.")
		}
	}
	if len(ours) > 0 {
		c.splices = withoutOptions(c.text, ours, keep == 0)
	}
	return nil
}

// replication reads WITH (pleiad.replication = …).
func (c *newTable) replication(mode string) *pgerr.Error {
	switch mode {
	case "sync":
		c.sync = true
	case "async":
	default:
		return pgerr.New(pgerr.InvalidParameterValue, "invalid value for option \"pleiad.replication\": %s", mode).
			WithHint("Write sync or async.")
	}
	return nil
}

// optionValue is a storage parameter's value as a word, "" when there is none.
func optionValue(def *sqlparse.DefElem) string {
	switch a := def.Arg; {
	case a.GetString_() != nil:
		return strings.ToLower(a.GetString_().Sval)
	case a.GetInteger() != nil:
		return itoa(int(a.GetInteger().Ival))
	case a.GetFloat() != nil:
		return a.GetFloat().Fval
	case a.GetTypeName() != nil:
		_, name := listName(a.GetTypeName().Names)
		return strings.ToLower(name)
	case a.GetBoolean() != nil && a.GetBoolean().Boolval:
		return "true"
	case a != nil:
		return "false"
	}
	return ""
}

// withoutOptions cuts options out of a WITH list: with their commas, or the whole clause when all go.
func withoutOptions(text string, ours []*sqlparse.DefElem, all bool) []Splice {
	toks := sqlparse.Tokens(text)
	at := func(offset int32) int {
		for i, t := range toks {
			if t.Start == int(offset) {
				return i
			}
		}
		return -1
	}
	first := at(ours[0].Location)
	if all {
		open := first - 1
		for i := first; i < len(toks); i++ {
			if toks[i].Punct == ')' && toks[i].Depth == toks[open].Depth {
				return []Splice{{Start: toks[open-1].Start, End: toks[i].End}}
			}
		}
	}
	var out []Splice
	for _, def := range ours {
		i := at(def.Location)
		depth, start, end := toks[i].Depth, toks[i].Start, i
		for ; toks[end].Punct != ',' && (toks[end].Punct != ')' || toks[end].Depth >= depth); end++ {
		}
		switch {
		case toks[end].Punct == ',':
			out = append(out, Splice{Start: start, End: toks[end].End})
		case len(out) > 0 && out[len(out)-1].End >= toks[i-1].End:
			// The comma before it went with the option before it; that one's own comma may have to go too.
			out = append(out, Splice{Start: start, End: toks[end-1].End})
			c := at(ours[0].Location) - 1
			if toks[c].Punct == ',' {
				out = append([]Splice{{Start: toks[c].Start, End: toks[c].End}}, out...)
			}
		default:
			out = append(out, Splice{Start: toks[i-1].Start, End: toks[end-1].End})
		}
	}
	return out
}

// primaryKey names the columns of the PRIMARY KEY that the statement declares, also by LIKE; nil without one.
func (c *newTable) primaryKey() []string {
	for _, n := range c.s.TableElts {
		if k := n.GetConstraint(); k != nil && k.Contype == sqlparse.ConstraintPrimary {
			return nameList(k.Keys)
		}
		if col := n.GetColumnDef(); col != nil {
			for _, k := range col.Constraints {
				if k.GetConstraint().GetContype() == sqlparse.ConstraintPrimary {
					return []string{col.Colname}
				}
			}
		}
		if like := n.GetTableLikeClause(); like != nil && like.Options&sqlparse.LikeIndexes != 0 {
			if t, _ := c.resolve(like.Relation); t != nil && len(t.PrimKey) > 0 {
				return shapeOf(t).primKey
			}
		}
	}
	return nil
}

// columnType is the type of a column the statement declares; known is false if it declares none of that name.
func (c *newTable) columnType(name string) (oid uint32, known bool) {
	for _, n := range c.s.TableElts {
		if col := n.GetColumnDef(); col != nil && col.Colname == name {
			return c.env.typeOID(col.TypeName), true
		}
		if like := n.GetTableLikeClause(); like != nil {
			t, _ := c.resolve(like.Relation)
			if t == nil {
				continue
			}
			for i := range t.Columns {
				if t.Columns[i].Name == name {
					return t.Columns[i].TypeOID, true
				}
			}
		}
	}
	return 0, false
}

// keyColumn is a column as part of a key, if its type can be.
func (c *newTable) keyColumn(name string, f shardmap.Family) (shardmap.KeyColumn, bool) {
	oid, _ := c.columnType(name)
	return shardmap.KeyColumn{TypeOID: oid, Family: f}, shardmap.Supported(oid, f)
}

// key reads PARTITION BY HASH into the shape and writes the operator classes that are implied. known is false if
// a key column does not exist.
func (c *newTable) key() (known bool, _ *pgerr.Error) {
	for _, n := range c.s.Partspec.PartParams {
		e := n.GetPartitionElem()
		if e.Expr != nil || e.Name == "" {
			return true, refKeyExpression
		}
		oid, ok := c.columnType(e.Name)
		if !ok {
			return false, nil
		}
		f, murmurName := c.family(e)
		if !shardmap.Supported(oid, f) {
			if f == shardmap.FamilyMurmur3 && shardmap.Supported(oid, shardmap.FamilyPostgres) {
				return true, refKeyMurmur.WithDetail("Column \"%s\" is part of the key.", e.Name)
			}
			return true, refKeyType.WithDetail("Column \"%s\" is part of the key.", e.Name)
		}
		if murmurName {
			class, _ := shardmap.Murmur3Opclass(oid)
			c.splices = append(c.splices, c.withOpclass(e, class))
		}
		c.shape.key = append(c.shape.key, e.Name)
		c.shape.cols = append(c.shape.cols, shardmap.KeyColumn{TypeOID: oid, Family: f})
	}
	c.text = splice(c.text, c.splices)
	return true, nil
}

// family is the hash that a key element names or, without an operator class, the default one. write is true if
// the class has to be written for the column's type: users write the family's name, pleiad.murmur3_ops.
func (c *newTable) family(e *sqlparse.PartitionElem) (f shardmap.Family, write bool) {
	if len(e.Opclass) == 0 {
		return c.env.Family, c.env.Family == shardmap.FamilyMurmur3
	}
	schema, name := listName(e.Opclass)
	if schema == "pleiad" && strings.HasPrefix(name, "murmur3_") {
		return shardmap.FamilyMurmur3, name == "murmur3_ops"
	}
	return shardmap.FamilyPostgres, false
}

// withOpclass replaces the key element by one with this operator class.
func (c *newTable) withOpclass(e *sqlparse.PartitionElem, class string) Splice {
	with := quoteIdent(e.Name)
	if len(e.Collation) > 0 {
		with += " COLLATE " + quoteName(listName(e.Collation))
	}
	s := Splice{Start: int(e.Location), With: with + " " + class}
	depth := -1
	for _, t := range sqlparse.Tokens(c.text) {
		switch {
		case t.Start < s.Start:
			continue
		case depth < 0:
			depth = t.Depth
		case t.Punct == ',' && t.Depth == depth, t.Punct == ')' && t.Depth < depth:
			return s
		}
		s.End = t.End
	}
	return s
}
