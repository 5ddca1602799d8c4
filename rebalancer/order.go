package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/replication"
)

// errCircle is a group that cannot move: PostgreSQL checks a partition's foreign keys when it is attached, and whichever
// table of a circle comes first refers to rows that are not there yet.
var errCircle = errors.New("foreign keys of the group's tables form a circle")

// detachOrder reads the group's foreign keys: tables that refer to others come first, for a partition that others refer to
// can be neither detached nor left behind. selves refer to themselves.
func (m *move) detachOrder(ctx context.Context, home *pgx.Conn) (order []shardTable, selves map[replication.Table]bool, err error) {
	rows, err := home.Query(ctx, `SELECT n.nspname::text, c.relname::text, fn.nspname::text, fc.relname::text
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_class fc ON fc.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
		JOIN pleiad.sharded s ON s.relid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0 AND s.group_id = $1`, m.group)
	if err != nil {
		return nil, nil, fmt.Errorf("read foreign keys: %w", err)
	}
	refers := map[replication.Table][]replication.Table{}
	var from, to replication.Table
	_, err = pgx.ForEachRow(rows, []any{&from.Schema, &from.Name, &to.Schema, &to.Name}, func() error {
		refers[from] = append(refers[from], to)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read foreign keys: %w", err)
	}
	return detachOrder(m.tables, refers)
}

func detachOrder(tables []shardTable, refers map[replication.Table][]replication.Table) (order []shardTable, selves map[replication.Table]bool, err error) {
	left := slices.Clone(tables)
	selves = map[replication.Table]bool{}
	for len(left) > 0 {
		free := slices.IndexFunc(left, func(t shardTable) bool {
			return !slices.ContainsFunc(left, func(o shardTable) bool {
				return o.Parent != t.Parent && slices.Contains(refers[o.Parent], t.Parent)
			})
		})
		if free < 0 {
			names := make([]string, len(left))
			for i, t := range left {
				names[i] = t.Parent.SQL()
			}
			return nil, nil, fmt.Errorf("%w: drop one of them between %s for the move", errCircle, strings.Join(names, ", "))
		}
		t := left[free]
		selves[t.Parent] = slices.Contains(refers[t.Parent], t.Parent)
		order = append(order, t)
		left = slices.Delete(left, free, free+1)
	}
	return order, selves, nil
}
