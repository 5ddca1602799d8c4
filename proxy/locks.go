package proxy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/deadlock"
)

// locksSQL lists the processes of a server that wait for a lock, whom for, and when those and the processes $1 began their
// transactions. A process of a parallel query speaks for its leader. pg_blocking_pids gives 0 for a prepared transaction;
// which one tells the lock on its own transaction id, which is in pg_locks under the same virtual transaction. The words for a lock are those of
// DescribeLockTag (lmgr.c).
const locksSQL = `WITH waiting AS MATERIALIZED (
		SELECT l.*, pg_catalog.pg_blocking_pids(l.pid) AS blockers
		FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL
	)
	SELECT coalesce(a.leader_pid, w.pid) AS pid, w.blockers,
		ARRAY(SELECT x.gid FROM pg_catalog.pg_locks h
			JOIN pg_catalog.pg_locks i USING (virtualtransaction)
			JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = i.transactionid
			WHERE i.pid IS NULL AND i.granted AND i.locktype = 'transactionid' AND 0 = ANY (w.blockers) AND h.pid IS NULL AND h.granted AND h.locktype = w.locktype
			AND (h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
				IS NOT DISTINCT FROM
				(w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)) AS gids,
		coalesce(w.waitstart::text, '') AS since,
		w.mode || ' on ' || CASE w.locktype
			WHEN 'relation' THEN pg_catalog.format('relation %s of database %s', w.relation, w.database)
			WHEN 'extend' THEN pg_catalog.format('extension of relation %s of database %s', w.relation, w.database)
			WHEN 'page' THEN pg_catalog.format('page %s of relation %s of database %s', w.page, w.relation, w.database)
			WHEN 'tuple' THEN pg_catalog.format('tuple (%s,%s) of relation %s of database %s', w.page, w.tuple, w.relation, w.database)
			WHEN 'transactionid' THEN pg_catalog.format('transaction %s', w.transactionid)
			WHEN 'virtualxid' THEN pg_catalog.format('virtual transaction %s', w.virtualxid)
			WHEN 'object' THEN pg_catalog.format('object %s of class %s of database %s', w.objid, w.classid, w.database)
			WHEN 'advisory' THEN pg_catalog.format('advisory lock [%s,%s,%s,%s]', w.database, w.classid, w.objid, w.objsubid)
			ELSE w.locktype END AS what,
		coalesce(extract(epoch FROM a.xact_start), 0)::float8 AS began
	FROM waiting w LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
	UNION ALL
	SELECT a.pid, '{}', '{}', '', '', coalesce(extract(epoch FROM a.xact_start), 0)::float8
	FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY ($1)`

// lockRow is one row of locksSQL.
type lockRow struct {
	PID      int32
	Blockers []int32
	GIDs     []string
	Since    string
	What     string
	Began    float64
}

// look asks every server on which suspects have connections who waits for whom, all at once.
func (d *deadlocks) look(ctx context.Context, suspects []suspect) *view {
	ctx, stop := context.WithTimeout(ctx, deadlockTimeout)
	defer stop()
	v := &view{srv: d.srv, suspects: suspects, nodes: map[process]deadlock.Node{}, start: map[process]float64{}}
	pids := map[string][]int32{}
	statements := map[deadlock.Node]uint64{}
	for i := range suspects {
		s := &suspects[i]
		statements[s.node()] = s.statement
		for _, h := range s.held {
			server := s.session.db.serverNameOf(h.Backend)
			v.nodes[process{server, h.PID}] = s.node()
			pids[server] = append(pids[server], int32(h.PID))
		}
		v.awaitConnection(s)
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	for server, list := range pids {
		asking.Go(func() {
			rows, err := d.locks(ctx, server, list)
			if err != nil {
				return // a server that does not answer tells of no waits; its state is known elsewhere
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rows {
				v.start[process{server, uint32(r.PID)}] = r.Began
				if r.Since != "" || r.What != "" {
					v.awaitLock(server, r, statements)
				}
			}
		})
	}
	asking.Wait()
	return v
}

func (d *deadlocks) locks(ctx context.Context, server string, pids []int32) (rows []lockRow, err error) {
	err = d.srv.control.read(ctx, server, maintenanceDB, func(conn *pgx.Conn) error {
		found, err := conn.Query(ctx, locksSQL, pids)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[lockRow])
		return err
	})
	return rows, err
}

// awaitLock notes that a server process waits for a lock.
func (v *view) awaitLock(server string, r lockRow, statements map[deadlock.Node]uint64) {
	p := process{server, uint32(r.PID)}
	w := deadlock.Wait{From: v.node(p), Server: server}
	var by []string
	for _, b := range r.Blockers {
		if b == 0 || b == r.PID {
			continue
		}
		w.On = append(w.On, v.node(process{server, uint32(b)}))
		by = append(by, fmt.Sprintf("process %d", b))
	}
	for _, gid := range r.GIDs {
		n := deadlock.Node{GID: gid}
		committing, _ := v.srv.inFlight.Load(gid)
		if s, ok := committing.(*Session); ok && s != nil {
			n = deadlock.Node{Session: s.id}
		}
		w.On = append(w.On, n)
		by = append(by, "prepared transaction "+gid)
	}
	if len(w.On) == 0 {
		return
	}
	if r.Since != "" {
		w.ID = fmt.Sprintf("%d %s %s %s", statements[w.From], p, r.Since, strings.Join(by, " "))
	}
	w.Text = fmt.Sprintf("%s waits for %s; blocked by %s.", capital(p.String()), r.What, strings.Join(by, ", "))
	v.waits = append(v.waits, w)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// awaitConnection notes that a session waits for a server connection of its role: until any of those who have one ends.
func (v *view) awaitConnection(s *suspect) {
	if s.wanted < 0 {
		return
	}
	name := s.session.db.targets[s.wanted].Name
	w := deadlock.Wait{
		From: s.node(), Any: true, ID: fmt.Sprintf("%d connection to %s", s.statement, name),
	}
	v.srv.eachSession(func(x *Session) {
		if held, _ := x.gang.Held(); s.competes(x, held) {
			w.On = append(w.On, deadlock.Node{Session: x.id})
		}
	})
	if len(w.On) == 0 {
		return
	}
	slices.SortFunc(w.On, func(a, b deadlock.Node) int { return cmp.Compare(a.Session, b.Session) })
	by := make([]string, len(w.On))
	for i, n := range w.On {
		by[i] = fmt.Sprint(n.Session)
	}
	w.Text = fmt.Sprintf("Session %d waits for a connection to backend %q; blocked by sessions %s.", s.session.id, name, strings.Join(by, ", "))
	v.waits = append(v.waits, w)
}
