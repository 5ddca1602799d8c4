package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/replication"
)

// verifying compares what the catalog says with what is on the backends. It writes nothing but what it finds.
type verifying struct {
	*job
	backends []backendRow
	tables   []tableRow
	conns    []*pgx.Conn // by place in backends

	mu       sync.Mutex
	findings int
}

type backendRow struct {
	ID   int
	Name string
	Home bool
}

// tableRow is one table that every backend has: sharded (Group is above 0) or reference.
type tableRow struct {
	Table   replication.Table
	Part    string // name of its partitions
	Group   int
	Modulus int
	Owners  []int // shard → id of its backend
}

// verify finds: rows that are not on the shard of their key, partitions that are missing or too many, copies of reference
// tables that differ, tables whose columns, constraints, indexes or triggers differ between backends, and what moves that
// have ended left behind.
func (j *job) verify() error {
	v := &verifying{job: j}
	return j.onHome(j.ctx, func(home *pgx.Conn) error {
		err := run(j.ctx, home, fmt.Sprintf("UPDATE pleiad.job SET state = 'running', started = now() WHERE id = %d AND state = 'queued'", j.ID),
			fmt.Sprintf("DELETE FROM pleiad.finding WHERE job = %d", j.ID))
		if err != nil {
			return err
		}
		if err := v.read(home); err != nil {
			return err
		}
		defer func() {
			for _, c := range v.conns {
				closing(c)
			}
		}()
		for _, b := range v.backends {
			c, err := connect(j.ctx, j.r.cluster, b.Name, j.database)
			if err != nil {
				return err
			}
			v.conns = append(v.conns, c)
		}
		steps := []func(context.Context) error{v.partitions, v.shapes, v.leftovers, v.references, v.rows}
		for _, step := range steps {
			if err := step(j.ctx); err != nil {
				return err
			}
		}
		_, err = home.Exec(j.ctx, "UPDATE pleiad.job SET detail = $2 WHERE id = $1", j.ID,
			fmt.Sprintf("%d tables on %d backends: %d findings", len(v.tables), len(v.backends), v.findings))
		return err
	})
}

func (v *verifying) read(home *pgx.Conn) error {
	rows, err := home.Query(v.ctx, "SELECT id, name, home FROM pleiad.backend WHERE state <> 'absent' ORDER BY id")
	if err == nil {
		v.backends, err = pgx.CollectRows(rows, pgx.RowToStructByPos[backendRow])
	}
	if err != nil {
		return fmt.Errorf("read backends: %w", err)
	}
	rows, err = home.Query(v.ctx, `SELECT n.nspname::text, c.relname::text, pleiad.shard_relation(n.nspname, c.relname), coalesce(s.group_id, 0),
		coalesce(g.modulus, 0), coalesce((SELECT array_agg(p.backend ORDER BY p.shard) FROM pleiad.placement p WHERE p.group_id = s.group_id), '{}')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pleiad.sharded s ON s.relid = c.oid LEFT JOIN pleiad.reference r ON r.relid = c.oid
		LEFT JOIN pleiad.colocation g ON g.id = s.group_id
		WHERE (s.relid IS NOT NULL OR r.relid IS NOT NULL) AND ($1 = 0 OR c.oid = $1) ORDER BY 1, 2`, v.options.Table)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	var t tableRow
	var owners []int32
	_, err = pgx.ForEachRow(rows, []any{&t.Table.Schema, &t.Table.Name, &t.Part, &t.Group, &t.Modulus, &owners}, func() error {
		t.Owners = make([]int, len(owners))
		for i, o := range owners {
			t.Owners[i] = int(o)
		}
		v.tables = append(v.tables, t)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	return nil
}

func (v *verifying) found(ctx context.Context, object, backend, format string, args ...any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.findings++
	return v.onHome(ctx, func(home *pgx.Conn) error {
		_, err := home.Exec(ctx, "INSERT INTO pleiad.finding (job, object, backend, problem) VALUES ($1, $2, $3, $4)",
			v.ID, object, backend, fmt.Sprintf(format, args...))
		return err
	})
}

// partitions compares the shard map with what is attached.
func (v *verifying) partitions(ctx context.Context) error {
	for i, b := range v.backends {
		rows, err := v.conns[i].Query(ctx, `SELECT n.nspname::text, c.relname::text, l.relname::text, l.shard
			FROM pleiad.local_shard l JOIN pg_class c ON c.oid = l.parent JOIN pg_namespace n ON n.oid = c.relnamespace`)
		if err != nil {
			return fmt.Errorf("read partitions on %q: %w", b.Name, err)
		}
		attached := map[replication.Table]map[int]string{}
		var t replication.Table
		var part string
		var shard int
		if _, err := pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &part, &shard}, func() error {
			if attached[t] == nil {
				attached[t] = map[int]string{}
			}
			attached[t][shard] = part
			return nil
		}); err != nil {
			return fmt.Errorf("read partitions on %q: %w", b.Name, err)
		}
		for _, t := range v.tables {
			for shard, owner := range t.Owners {
				name, there := attached[t.Table][shard]
				var err error
				switch {
				case owner == b.ID && !there:
					err = v.found(ctx, t.Table.SQL(), b.Name, "shard %d is not attached, and the map says that it is here", shard)
				case owner != b.ID && there:
					err = v.found(ctx, t.Table.SQL(), b.Name, "shard %d is attached, and the map says that it is elsewhere", shard)
				case there && name != t.Part:
					err = v.found(ctx, t.Table.SQL(), b.Name, "the partition of shard %d is called %s, not %s", shard, name, t.Part)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// shapes compares what belongs to the tables with home's.
func (v *verifying) shapes(ctx context.Context) error {
	for _, t := range v.tables {
		var want string
		for pass := range 2 {
			for i, b := range v.backends {
				if b.Home != (pass == 0) {
					continue
				}
				var shape string
				err := v.conns[i].QueryRow(ctx, `SELECT coalesce(pleiad.shape(to_regclass($1)) || md5(coalesce((
					SELECT string_agg(pg_get_triggerdef(oid) || tgenabled::text, ',' ORDER BY tgname) FROM pg_trigger
					WHERE tgrelid = to_regclass($1) AND NOT tgisinternal), '')), '')`, t.Table.SQL()).Scan(&shape)
				switch {
				case err != nil:
					return fmt.Errorf("read shape of %s on %q: %w", t.Table.SQL(), b.Name, err)
				case shape == "":
					err = v.found(ctx, t.Table.SQL(), b.Name, "the table does not exist")
				case b.Home:
					want = shape
				case shape != want:
					err = v.found(ctx, t.Table.SQL(), b.Name, "columns, constraints, indexes or triggers are not those on home")
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// leftovers finds what no move that is under way accounts for.
func (v *verifying) leftovers(ctx context.Context) error {
	live := map[string]bool{}
	shards := map[string]bool{}
	err := v.onHome(ctx, func(home *pgx.Conn) error {
		rows, err := home.Query(ctx, `SELECT 'pleiad_move_' || id, 'pleiad_' || shard FROM pleiad.move
			WHERE step NOT IN ('done', 'proposed', 'cancelled', 'failed')
			UNION ALL SELECT 'pleiad_join_' || id, '' FROM pleiad.job WHERE kind = 'add_backend' AND state IN ('running', 'cancelling')`)
		if err != nil {
			return err
		}
		var slot, schema string
		_, err = pgx.ForEachRow(rows, []any{&slot, &schema}, func() error {
			live[slot], shards[schema] = true, true
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("read moves: %w", err)
	}
	for i, b := range v.backends {
		rows, err := v.conns[i].Query(ctx, `SELECT 'replication slot', slot_name::text, substring(slot_name from '^pleiad_[a-z]+_[0-9]+') FROM pg_replication_slots
				WHERE database = current_database() AND slot_name ~ '^pleiad_(move|join)_[0-9]+'
			UNION ALL SELECT 'publication', pubname::text, substring(pubname from '^pleiad_[a-z]+_[0-9]+') FROM pg_publication
				WHERE pubname ~ '^pleiad_(move|join)_[0-9]+'
			UNION ALL SELECT 'followed position', 'of move ' || move, 'pleiad_move_' || move FROM pleiad.incoming WHERE rel = ''
			UNION ALL SELECT 'detached table', n.nspname || '.' || c.relname, n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname ~ '^pleiad_[0-9]+$' AND c.relkind = 'r' AND NOT c.relispartition
			UNION ALL SELECT 'empty schema', nspname::text, nspname::text FROM pg_namespace n WHERE nspname ~ '^pleiad_[0-9]+$'
				AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)`)
		if err != nil {
			return fmt.Errorf("look for leftovers on %q: %w", b.Name, err)
		}
		left, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Kind, Name, Of string }])
		if err != nil {
			return fmt.Errorf("look for leftovers on %q: %w", b.Name, err)
		}
		for _, l := range left {
			if live[l.Of] || shards[l.Of] {
				continue
			}
			if err := v.found(ctx, l.Kind+" "+l.Name, b.Name, "no move needs it"); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows looks for rows on a shard that is not theirs. A partition accepts none, unless somebody has gone behind it.
func (v *verifying) rows(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(v.backends))
	for i, b := range v.backends {
		all.Go(func() {
			for _, t := range v.tables {
				for shard, owner := range t.Owners {
					if owner == b.ID && errs[i] == nil {
						errs[i] = v.rowsOf(ctx, v.conns[i], b, t, shard)
					}
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (v *verifying) rowsOf(ctx context.Context, conn *pgx.Conn, b backendRow, t tableRow, shard int) error {
	part := replication.Table{Schema: fmt.Sprintf("pleiad_%d", shard), Name: t.Part}
	var constraint *string
	err := conn.QueryRow(ctx, "SELECT pg_get_partition_constraintdef(to_regclass($1))", part.SQL()).Scan(&constraint)
	if err != nil || constraint == nil {
		return err // one that is missing has been found already
	}
	var n int64
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM ONLY "+part.SQL()+" WHERE NOT ("+*constraint+")").Scan(&n); err != nil {
		return fmt.Errorf("read %s on %q: %w", part.SQL(), b.Name, err)
	}
	if n > 0 {
		return v.found(ctx, t.Table.SQL(), b.Name, "%d rows on shard %d have keys of other shards", n, shard)
	}
	return nil
}

// references compares the copies of reference tables, as of one moment.
func (v *verifying) references(ctx context.Context) error {
	m := &move{cluster: v.r.cluster, database: v.database}
	defer m.hangUp()
	for _, t := range v.tables {
		if t.Group != 0 {
			continue
		}
		if err := v.freeze(ctx, m, t); err != nil {
			return err
		}
		digests := make([]digest, len(v.conns))
		errs := make([]error, len(v.conns))
		var all sync.WaitGroup
		for i, c := range v.conns {
			all.Go(func() {
				digests[i], errs[i] = m.digest(ctx, c, shardTable{Part: t.Table})
				errs[i] = errors.Join(errs[i], run(ctx, c, "ROLLBACK"))
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("compare %s: %w", t.Table.SQL(), err)
		}
		for i, d := range digests {
			if d != digests[0] {
				if err := v.found(ctx, t.Table.SQL(), v.backends[i].Name, "%d rows with hash %s, where %s has %d with hash %s",
					d.rows, d.hash, v.backends[0].Name, digests[0].rows, digests[0].hash); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// freeze opens a transaction on every backend that sees the table as it is while nobody can write to it.
func (v *verifying) freeze(ctx context.Context, m *move, t tableRow) error {
	for {
		err := v.freezeOnce(ctx, m, t)
		if !lockTimedOut(err) {
			return err
		}
		pause(ctx, lockPatience)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (v *verifying) freezeOnce(ctx context.Context, m *move, t tableRow) (err error) {
	var locks []*pgx.Conn
	defer func() {
		for _, c := range locks {
			closing(c)
		}
	}()
	for _, b := range v.backends {
		c, err := connect(ctx, v.r.cluster, b.Name, v.database)
		if err != nil {
			return err
		}
		locks = append(locks, c)
		if err := run(ctx, c, "BEGIN", "SET LOCAL lock_timeout = '"+lockPatience.String()+"'", "LOCK TABLE "+t.Table.SQL()+" IN SHARE MODE"); err != nil {
			return err
		}
	}
	for _, c := range v.conns {
		if err := run(ctx, c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT pg_current_snapshot()"); err != nil {
			return err
		}
	}
	return nil
}
