package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/rebalancer/balance"
)

// placement is what a plan is made from.
type placement struct {
	backends []balance.Backend // by id
	groups   []balance.Group
	bytes    map[[2]int]int64 // group and shard → bytes
	load     map[[2]int]int64
}

// plan writes the job's moves, once.
func (j *job) plan() error {
	ctx := j.ctx
	return j.onHome(ctx, func(home *pgx.Conn) error {
		var state string
		var planned bool
		err := home.QueryRow(ctx, "SELECT state, EXISTS (SELECT FROM pleiad.move WHERE job = $1) FROM pleiad.job WHERE id = $1",
			j.ID).Scan(&state, &planned)
		switch {
		case err != nil:
			return err
		case state == "cancelling":
			j.cancel(errCancelled)
			return errCancelled
		case state == "queued" && planned:
			_, err = home.Exec(ctx, "UPDATE pleiad.job SET state = 'running' WHERE id = $1 AND state = 'queued'", j.ID)
			return err
		case state != "queued":
			return nil
		}
		if (j.Kind == "drain" || j.Kind == "remove_backend") && !j.options.DryRun {
			if err := drained(ctx, home, j.options.Backend); err != nil {
				return err
			}
		}
		p, err := j.readPlacement(ctx, home)
		if err != nil {
			return err
		}
		moves, by, err := j.choose(p)
		if err != nil {
			return err
		}
		return j.writePlan(ctx, home, p, moves, by)
	})
}

// drained keeps new shards from a backend that is being emptied.
func drained(ctx context.Context, home *pgx.Conn, backend string) error {
	return pgx.BeginFunc(ctx, home, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pleiad.begin_ddl()"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE pleiad.backend SET state = 'drained' WHERE name = $1", backend)
		return err
	})
}

// choose gives the job's moves.
func (j *job) choose(p *placement) ([]balance.Move, balance.By, error) {
	by := balance.ByShards
	switch j.Kind {
	case "move":
		to := -1
		for i, b := range p.backends {
			if b.Name == j.options.Target {
				to = i
			}
		}
		if to < 0 {
			return nil, by, fmt.Errorf("backend %q does not exist", j.options.Target)
		}
		for _, g := range p.groups {
			if g.ID == j.options.Group && j.options.Shard < len(g.Owners) {
				from := g.Owners[j.options.Shard]
				if from == to {
					return nil, by, nil
				}
				return []balance.Move{{Group: g.ID, Shard: j.options.Shard, From: from, To: to}}, by, nil
			}
		}
		return nil, by, fmt.Errorf("colocation group %d has no shard %d", j.options.Group, j.options.Shard)
	case "drain", "remove_backend":
		for i := range p.backends {
			if p.backends[i].Name == j.options.Backend {
				p.backends[i].Weight = 0
			}
		}
	default:
		by = balance.By(j.options.By)
	}
	for i := range p.groups {
		g := &p.groups[i]
		g.Cost = make([]float64, len(g.Owners))
		for shard := range g.Cost {
			g.Cost[shard] = float64(p.bytes[[2]int{g.ID, shard}])
			if by == balance.ByLoad {
				g.Cost[shard] = float64(p.load[[2]int{g.ID, shard}])
			}
		}
	}
	moves, err := balance.Plan(by, p.groups, p.backends)
	return moves, by, err
}

// readPlacement reads where the shards are, and what they hold.
func (j *job) readPlacement(ctx context.Context, home *pgx.Conn) (*placement, error) {
	p := &placement{bytes: map[[2]int]int64{}, load: map[[2]int]int64{}}
	rows, err := home.Query(ctx, "SELECT name, CASE state WHEN 'active' THEN weight ELSE 0 END FROM pleiad.backend ORDER BY id")
	if err == nil {
		p.backends, err = pgx.CollectRows(rows, pgx.RowToStructByPos[balance.Backend])
	}
	if err != nil {
		return nil, fmt.Errorf("read backends: %w", err)
	}
	rows, err = home.Query(ctx, "SELECT group_id, array_agg(backend ORDER BY shard) FROM pleiad.placement GROUP BY 1 ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("read placement: %w", err)
	}
	var g balance.Group
	var owners []int32
	_, err = pgx.ForEachRow(rows, []any{&g.ID, &owners}, func() error {
		g.Owners = make([]int, len(owners))
		for i, o := range owners {
			g.Owners[i] = int(o)
		}
		p.groups = append(p.groups, g)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read placement: %w", err)
	}
	return p, j.readSizes(ctx, home, p)
}

// readSizes asks every backend that has shards for their sizes and use.
func (j *job) readSizes(ctx context.Context, home *pgx.Conn, p *placement) error {
	groups := map[[2]string]int{}
	rows, err := home.Query(ctx, `SELECT n.nspname::text, c.relname::text, s.group_id FROM pleiad.sharded s
		JOIN pg_class c ON c.oid = s.relid JOIN pg_namespace n ON n.oid = c.relnamespace`)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	var name [2]string
	var group int
	if _, err := pgx.ForEachRow(rows, []any{&name[0], &name[1], &group}, func() error {
		groups[name] = group
		return nil
	}); err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	holds := map[int]bool{}
	for _, g := range p.groups {
		for _, b := range g.Owners {
			holds[b] = true
		}
	}
	var (
		mu   sync.Mutex
		errs []error
		all  sync.WaitGroup
	)
	for b := range holds {
		all.Go(func() {
			err := j.sizesOf(ctx, p.backends[b].Name, func(schema, table string, shard int, bytes, load int64) {
				mu.Lock()
				defer mu.Unlock()
				key := [2]int{groups[[2]string{schema, table}], shard}
				p.bytes[key] += bytes
				p.load[key] += load
			})
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (j *job) sizesOf(ctx context.Context, backend string, each func(schema, table string, shard int, bytes, load int64)) error {
	conn, err := connect(ctx, j.r.cluster, backend, j.database)
	if err != nil {
		return err
	}
	defer closing(conn)
	rows, err := conn.Query(ctx, `SELECT n.nspname::text, p.relname::text, l.shard, coalesce(pg_total_relation_size(l.relid), 0),
		coalesce(s.seq_scan + s.idx_scan + s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)
		FROM pleiad.local_shard l JOIN pg_class p ON p.oid = l.parent JOIN pg_namespace n ON n.oid = p.relnamespace
		LEFT JOIN pg_stat_user_tables s ON s.relid = l.relid`)
	if err != nil {
		return fmt.Errorf("read sizes on %q: %w", backend, err)
	}
	var schema, table string
	var shard int
	var bytes, load int64
	_, err = pgx.ForEachRow(rows, []any{&schema, &table, &shard, &bytes, &load}, func() error {
		each(schema, table, shard, bytes, load)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read sizes on %q: %w", backend, err)
	}
	return nil
}

// writePlan writes the moves and what they bring.
func (j *job) writePlan(ctx context.Context, home *pgx.Conn, p *placement, moves []balance.Move, by balance.By) error {
	step := Planned
	if j.options.DryRun {
		step = Proposed
	}
	var bytes int64
	err := pgx.BeginFunc(ctx, home, func(tx pgx.Tx) error {
		for _, m := range moves {
			size := p.bytes[[2]int{m.Group, m.Shard}]
			bytes += size
			_, err := tx.Exec(ctx, `INSERT INTO pleiad.move (job, group_id, shard, source, target, step, bytes)
				VALUES ($1, $2, $3, $4, $5, $6, $7)`, j.ID, m.Group, m.Shard, m.From, m.To, step, size)
			if err != nil {
				return err
			}
		}
		detail := fmt.Sprintf("%d moves, %d bytes", len(moves), bytes)
		if j.Kind == "rebalance" {
			before, after := j.imbalance(p, moves, by)
			detail += fmt.Sprintf("; fullest backend over its share: %s before, %s after", overShare(before), overShare(after))
		}
		tag, err := tx.Exec(ctx, "UPDATE pleiad.job SET state = 'running', started = now(), detail = $2 WHERE id = $1 AND state = 'queued'", j.ID, detail)
		if err == nil && tag.RowsAffected() == 0 { // cancelled meanwhile: the plan is dropped
			j.cancel(errCancelled)
			return errCancelled
		}
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "move_underway" {
		return errors.New("a shard that this job would move is moving already")
	}
	return err
}

// overShare is an imbalance for people.
func overShare(imbalance float64) string {
	if math.IsInf(imbalance, 1) {
		return "one that takes none has some"
	}
	return fmt.Sprintf("%.1f%%", 100*imbalance)
}

func (j *job) imbalance(p *placement, moves []balance.Move, by balance.By) (before, after float64) {
	groups := make([]balance.Group, len(p.groups))
	for i, g := range p.groups {
		groups[i] = balance.Group{ID: g.ID, Owners: append([]int(nil), g.Owners...), Cost: g.Cost}
		if by == balance.ByShards {
			groups[i].Cost = nil
		}
	}
	before = balance.Imbalance(balance.Sums(groups, len(p.backends)), p.backends)
	for _, m := range moves {
		for i := range groups {
			if groups[i].ID == m.Group {
				groups[i].Owners[m.Shard] = m.To
			}
		}
	}
	return before, balance.Imbalance(balance.Sums(groups, len(p.backends)), p.backends)
}
