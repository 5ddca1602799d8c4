package router

import (
	"regexp"

	"github.com/pleiad/pleiad/router/shardmap"
)

var modifier = regexp.MustCompile(`\([0-9, ]+\)`)

// BaseType is a column's type without its modifier: a cast to varchar(3) would cut what storing refuses.
func (c *Column) BaseType() string {
	switch {
	case c.TypeOID == 1042:
		return "pg_catalog.bpchar"
	case c.TypeOID == 1560:
		return `pg_catalog."bit"`
	case c.Typmod == -1:
		return c.TypeName
	}
	return modifier.ReplaceAllString(c.TypeName, "")
}

// sourceType is the type of an expression whose value the column will store. The deparser cannot write bpchar without a length;
// what text becomes in the column is the same.
func (c *Column) sourceType() string {
	if c.TypeOID == shardmap.BpcharOID {
		return "text"
	}
	return c.BaseType()
}
