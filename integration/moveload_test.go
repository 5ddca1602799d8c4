package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// moveLoad is mixed load on a group of tables whose shards move, and what is known of it. Each client has rows of its own,
// so that it knows what every read must give; the tables fixed and bank are everybody's, and their sums never change.
type moveLoad struct {
	s       *served
	db      string
	clients int
	// broken says that servers or the proxy are killed meanwhile: an error is no failure then, but leaves what was
	// written unknown.
	broken bool

	statements atomic.Int64
	longest    atomic.Int64 // nanoseconds
	mu         sync.Mutex
	faults     []string
	models     []*moveModel
}

// moveModel is what one client knows.
type moveModel struct {
	id      int
	values  map[int]int64  // row → acknowledged value
	doubt   map[int]int64  // row → value of a write whose outcome is not known
	events  map[int64]bool // acknowledged
	perhaps map[int64]bool // sent, outcome not known
	next    int64
}

const (
	fixedRows    = 400
	bankRows     = 32
	bankTotal    = bankRows * 100
	rowsOfClient = 40
)

// moveSchema is a group of tables with what a table can have.
const moveSchema = `
create table fixed (k text primary key, v int not null) partition by hash (k);
create table bank (k text primary key, v int not null check (v >= 0)) partition by hash (k);
create table item (k text not null, id int not null, v bigint not null default 7, doc jsonb, size int generated always as (length(k)) stored,
  touched int not null default 0, primary key (k, id)) partition by hash (k);
create index item_doc on item ((doc->>'v'));
create table part (k text not null, id int not null, n int not null, note text, primary key (k, id, n),
  foreign key (k, id) references item (k, id) on delete cascade) partition by hash (k);
create table event (k text not null, n bigint not null, body json) partition by hash (k);
create table rate (k int primary key, n bigint not null, label text default 'r') with (pleiad.reference);
create function touch() returns trigger language plpgsql as $$ begin new.touched := old.touched + 1; return new; end $$;
create trigger touch before update on item for each row execute function touch();
comment on table item is 'items';
alter table item alter column doc set statistics 500`

func newMoveLoad(t *testing.T, s *served, db string, shards, clients int) *moveLoad {
	t.Helper()
	c := s.conn(t, db)
	s.exec(t, c, "set pleiad.shard_count = "+strconv.Itoa(shards))
	for _, sql := range strings.Split(moveSchema, ";\ncreate") {
		for i, sub := range strings.Split(sql, ";\ncomment") {
			for j, last := range strings.Split(sub, ";\nalter") {
				switch {
				case j > 0:
					last = "alter" + last
				case i > 0:
					last = "comment" + last
				case !strings.HasPrefix(strings.TrimSpace(last), "create"):
					last = "create" + last
				}
				s.exec(t, c, last)
			}
		}
	}
	for table, rows := range map[string]int{"fixed": fixedRows, "bank": bankRows} {
		var values []string
		for i := range rows {
			values = append(values, fmt.Sprintf("('%s%d', 100)", table, i))
		}
		s.exec(t, c, "insert into "+table+" values "+strings.Join(values, ","))
	}
	l := &moveLoad{s: s, db: db, clients: clients}
	for i := range clients {
		l.models = append(l.models, &moveModel{id: i, values: map[int]int64{}, doubt: map[int]int64{}, events: map[int64]bool{},
			perhaps: map[int64]bool{}})
	}
	return l
}

func (l *moveLoad) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 20 {
		l.faults = append(l.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// run works with all clients until ctx ends; a statement that is under way then is finished.
func (l *moveLoad) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range l.models {
		all.Go(func() { l.client(ctx, m) })
	}
	all.Wait()
}

var errWrong = errors.New("wrong")

func (l *moveLoad) client(ctx context.Context, m *moveModel) {
	work := context.WithoutCancel(ctx)
	random := rand.New(rand.NewPCG(uint64(m.id), 1))
	var c *pgx.Conn
	defer func() {
		if c != nil {
			_ = c.Close(work)
		}
	}()
	steps := []func(context.Context, *pgx.Conn, *moveModel, *rand.Rand) error{
		l.read, l.read, l.rates, l.upsert, l.upsert, l.update, l.insertMany, l.transfer, l.sums, l.copyIn, l.pipeline, l.family, l.stable,
	}
	for ctx.Err() == nil {
		if c == nil || c.IsClosed() {
			cfg, err := pgx.ParseConfig(l.s.dsn(l.db))
			if err == nil {
				if m.id%3 == 0 {
					cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
				}
				c, err = pgx.ConnectConfig(work, cfg)
			}
			if err != nil {
				if !l.broken {
					l.fault("client %d: connect: %v", m.id, err)
				}
				c = nil
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		limited, stop := context.WithTimeout(work, 30*time.Second)
		began := time.Now()
		n := random.IntN(len(steps))
		err := steps[n](limited, c, m, random)
		stop()
		took := int64(time.Since(began))
		for old := l.longest.Load(); took > old && !l.longest.CompareAndSwap(old, took); old = l.longest.Load() {
		}
		l.statements.Add(1)
		switch {
		case err == nil:
		case errors.Is(err, errWrong) || !l.broken:
			l.fault("client %d, step %d, after %s: %v", m.id, n, time.Duration(took), err)
			fallthrough
		default:
			_ = c.Close(work)
			c = nil
		}
	}
}

func (m *moveModel) key(row int) string { return fmt.Sprintf("c%d-%d", m.id, row) }

// known checks a value read against what was acknowledged.
func (m *moveModel) known(row int, got int64, found bool) error {
	want, ok := m.values[row]
	if d, open := m.doubt[row]; open && found && got == d {
		m.values[row] = d
		delete(m.doubt, row)
		return nil
	}
	if ok != found || ok && got != want {
		return fmt.Errorf("%w: row %s is %d (there: %t), want %d (there: %t)", errWrong, m.key(row), got, found, want, ok)
	}
	delete(m.doubt, row)
	return nil
}

// write notes the outcome of a write.
func (m *moveModel) write(row int, v int64, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		m.values[row] = v
		delete(m.doubt, row)
	case errors.As(err, &pg) && pg.Code != "08007" && pg.Code != "40003" && pg.Severity != "FATAL":
	default:
		m.doubt[row] = v
	}
	return err
}

func (l *moveLoad) read(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	row := r.IntN(rowsOfClient)
	var got int64
	err := c.QueryRow(ctx, "select v from item where k = $1 and id = 1", m.key(row)).Scan(&got)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return m.known(row, got, err == nil)
}

func (l *moveLoad) upsert(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	row := r.IntN(rowsOfClient)
	m.next++
	if _, open := m.doubt[row]; open {
		return l.settle(ctx, c, m, row)
	}
	_, err := c.Exec(ctx, "insert into item (k, id, v, doc) values ($1, 1, $2::bigint, jsonb_build_object('v', $2::bigint)) "+
		"on conflict (k, id) do update set v = excluded.v, doc = excluded.doc", m.key(row), m.next)
	return m.write(row, m.next, err)
}

func (l *moveLoad) update(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	row := r.IntN(rowsOfClient)
	if _, open := m.doubt[row]; open {
		return l.settle(ctx, c, m, row)
	}
	if _, ok := m.values[row]; !ok {
		return nil
	}
	m.next++
	tag, err := c.Exec(ctx, fmt.Sprintf("update item set v = %d where k = '%s'", m.next, m.key(row)))
	if err == nil && tag.RowsAffected() != 1 {
		return fmt.Errorf("%w: update of %s affected %d rows", errWrong, m.key(row), tag.RowsAffected())
	}
	return m.write(row, m.next, err)
}

// settle reads a row whose last write is in doubt.
func (l *moveLoad) settle(ctx context.Context, c *pgx.Conn, m *moveModel, row int) error {
	var got int64
	err := c.QueryRow(ctx, "select v from item where k = $1 and id = 1 for update", m.key(row)).Scan(&got)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return m.known(row, got, err == nil)
}

// insertMany writes to a table without a primary key, rows for several backends.
func (l *moveLoad) insertMany(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	var rows []string
	var ns []int64
	for range 5 {
		m.next++
		ns = append(ns, m.next)
		rows = append(rows, fmt.Sprintf("('c%d-%d', %d, '{\"n\": %d}')", m.id, m.next, m.next, m.next))
	}
	_, err := c.Exec(ctx, "insert into event values "+strings.Join(rows, ", "))
	return m.wrote(ns, err)
}

func (m *moveModel) wrote(ns []int64, err error) error {
	var pg *pgconn.PgError
	for _, n := range ns {
		switch {
		case err == nil:
			m.events[n] = true
		case errors.As(err, &pg) && pg.Code != "08007" && pg.Code != "40003" && pg.Severity != "FATAL":
		default:
			m.perhaps[n] = true
		}
	}
	return err
}

func (l *moveLoad) copyIn(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	var b strings.Builder
	var ns []int64
	for range 20 {
		m.next++
		ns = append(ns, m.next)
		fmt.Fprintf(&b, "c%d-%d\t%d\t{}\n", m.id, m.next, m.next)
	}
	_, err := c.PgConn().CopyFrom(ctx, strings.NewReader(b.String()), "copy event from stdin")
	return m.wrote(ns, err)
}

func (l *moveLoad) transfer(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	a, b := r.IntN(bankRows), r.IntN(bankRows)
	if a == b {
		return nil
	}
	if a > b {
		a, b = b, a
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var balance int
	if err := tx.QueryRow(ctx, "select v from bank where k = $1 for update", fmt.Sprintf("bank%d", a)).Scan(&balance); err != nil {
		return err
	}
	if balance == 0 {
		return nil
	}
	for k, change := range map[int]int{a: -1, b: 1} {
		if k == a {
			continue
		}
		if _, err := tx.Exec(ctx, "update bank set v = v - 1 where k = $1", fmt.Sprintf("bank%d", a)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "update bank set v = v + $2 where k = $1", fmt.Sprintf("bank%d", k), change)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("%w: bank%d has %d rows", errWrong, k, tag.RowsAffected())
		}
	}
	return tx.Commit(ctx)
}

// sums reads rows of all shards that nobody changes.
func (l *moveLoad) sums(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	var n, sum int
	if err := c.QueryRow(ctx, "select count(*), sum(v) from fixed").Scan(&n, &sum); err != nil {
		return err
	}
	if n != fixedRows || sum != 100*fixedRows {
		return fmt.Errorf("%w: fixed has %d rows with sum %d", errWrong, n, sum)
	}
	rows, err := c.Query(ctx, "select k from fixed order by k collate \"C\" limit 50")
	if err != nil {
		return err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(keys) != 50 {
		return fmt.Errorf("%w: 50 rows of fixed are %d", errWrong, len(keys))
	}
	return err
}

// rates writes to a reference table: every backend's copy changes with it.
func (l *moveLoad) rates(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	m.next++
	_, err := c.Exec(ctx, "insert into rate (k, n) values ($1, $2) on conflict (k) do update set n = excluded.n", m.id, m.next)
	if err := m.write(-1, m.next, err); err != nil {
		return err
	}
	var n int64
	if err := c.QueryRow(ctx, "select n from rate where k = $1", m.id).Scan(&n); err != nil {
		return err
	}
	return m.known(-1, n, true)
}

// stable reads twice in a REPEATABLE READ transaction: the bank's sum is the same in each.
func (l *moveLoad) stable(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for range 2 {
		var sum int
		if err := tx.QueryRow(ctx, "select sum(v) from bank").Scan(&sum); err != nil {
			return err
		}
		if sum != bankTotal {
			return fmt.Errorf("%w: the bank has %d", errWrong, sum)
		}
	}
	return tx.Commit(ctx)
}

// pipeline sends statements for several backends in one batch.
func (l *moveLoad) pipeline(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	var b pgx.Batch
	var ns []int64
	for range 4 {
		m.next++
		ns = append(ns, m.next)
		b.Queue("insert into event (k, n) values ($1, $2)", fmt.Sprintf("c%d-%d", m.id, m.next), m.next)
	}
	return m.wrote(ns, c.SendBatch(ctx, &b).Close())
}

// family writes a row, rows that refer to it, and deletes them all.
func (l *moveLoad) family(ctx context.Context, c *pgx.Conn, m *moveModel, r *rand.Rand) error {
	key := fmt.Sprintf("f%d-%d", m.id, r.IntN(20))
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "insert into item (k, id) values ($1, 2) on conflict do nothing", key); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into part (k, id, n, note) select $1, 2, i, repeat('x', 3000) from generate_series(1, 3) i on conflict do nothing",
		key); err != nil {
		return err
	}
	if r.IntN(2) == 0 {
		tag, err := tx.Exec(ctx, "delete from item where k = $1 and id = 2", key)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("%w: %d rows of %s deleted", errWrong, tag.RowsAffected(), key)
		}
	}
	return tx.Commit(ctx)
}

// check compares what is there with what was acknowledged.
func (l *moveLoad) check(t *testing.T) {
	t.Helper()
	for _, f := range l.faults {
		t.Error(f)
	}
	c := l.s.conn(t, l.db)
	ctx := ctxFor(t)
	for _, m := range l.models {
		var rate int64
		err := c.QueryRow(ctx, "select n from rate where k = $1", m.id).Scan(&rate)
		if err := m.known(-1, rate, err == nil); err != nil {
			t.Error(err)
		}
		for row := range rowsOfClient {
			var got int64
			err := c.QueryRow(ctx, "select v from item where k = $1 and id = 1", m.key(row)).Scan(&got)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				t.Fatal(err)
			}
			if err := m.known(row, got, err == nil); err != nil {
				t.Error(err)
			}
		}
	}
	seen := map[string]int{}
	for _, k := range l.s.text(t, c, "select k from event") {
		seen[k]++
	}
	for _, m := range l.models {
		for n := range m.events {
			k := fmt.Sprintf("c%d-%d", m.id, n)
			if seen[k] != 1 {
				t.Errorf("event %s is there %d times", k, seen[k])
			}
			delete(seen, k)
		}
		for n := range m.perhaps {
			k := fmt.Sprintf("c%d-%d", m.id, n)
			if seen[k] > 1 {
				t.Errorf("event %s is there %d times", k, seen[k])
			}
			delete(seen, k)
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d events that nobody wrote", len(seen))
	}
	if sum := l.s.one(t, c, "select sum(v) from bank"); sum != strconv.Itoa(bankTotal) {
		t.Errorf("the bank has %s, want %d", sum, bankTotal)
	}
	if n := l.s.one(t, c, "select count(*) from part p where not exists (select from item i where i.k = p.k and i.id = p.id)"); n != "0" {
		t.Errorf("%s parts refer to nothing", n)
	}
}
