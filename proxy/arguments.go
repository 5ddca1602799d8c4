package proxy

import (
	"strings"

	"github.com/pleiad/pleiad/router"
	"github.com/pleiad/pleiad/router/shardmap"
	"github.com/pleiad/pleiad/router/sqlparse"
)

// notConstant is the type of an EXECUTE argument that only PostgreSQL can compute: no key column takes it, so that
// nothing is concluded from the value.
const notConstant = ^uint32(0)

// argumentValues reads EXECUTE's arguments as far as they are plain constants. Data is nil where one is not.
func argumentValues(p *router.Prepare) []shardmap.Value {
	out := make([]shardmap.Value, len(p.Args))
	for i, a := range p.Args {
		out[i] = argumentValue(strings.TrimSpace(a))
	}
	return out
}

func argumentValue(text string) shardmap.Value {
	other := shardmap.Value{TypeOID: notConstant}
	if strings.EqualFold(text, "null") {
		return shardmap.Value{Null: true}
	}
	negative := strings.HasPrefix(text, "-")
	body := strings.TrimSpace(strings.TrimPrefix(text, "-"))
	var sc sqlparse.Scanner
	const head = "SELECT "
	scanned := sc.Scan([]byte(head + body))
	if len(scanned.Lits) != 1 || scanned.Lits[0].Start != len(head) || scanned.Lits[0].End != len(head)+len(body) {
		return other
	}
	lit := scanned.Lits[0]
	number := lit.Kind == sqlparse.LiteralInt4 || lit.Kind == sqlparse.LiteralInt8 || lit.Kind == sqlparse.LiteralNumeric
	if negative && !number {
		return other
	}
	var v []byte
	if negative {
		v = append(v, '-')
	}
	v, ok := sqlparse.LiteralValue([]byte(head+body), lit, v)
	if !ok {
		return other
	}
	return shardmap.Value{Data: v}
}
