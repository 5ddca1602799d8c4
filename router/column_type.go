package router

import "regexp"

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
