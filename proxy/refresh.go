package proxy

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// refresh is a materialized view over sharded tables being filled: catalog/sql/refresh.sql has what happens on home.
type refresh struct {
	s    *Session
	f    *router.Refresh
	home *executor.Member
	// owner is whom the view's query runs as. role and path are the settings that the client has, which are put back.
	owner, role, path string
	acts              bool // owner is the acting role
}

var errRefreshRole = pgerr.New(pgerr.FeatureNotSupported, "a materialized view over sharded tables is refreshed as its owner").
	WithHint("SET ROLE to the view's owner, or connect as a role that may.")

// runRefresh is REFRESH MATERIALIZED VIEW, or the second half of CREATE.
func (s *Session) runRefresh(r *request, f *router.Refresh) error {
	home, err := s.gang.Join(s.ctx, s.db.home)
	if err != nil {
		s.fail(executor.ClientError(err))
		return nil
	}
	s.effect(r.tmpl, home)
	if f.Create {
		s.planner.schemaChanged()
	}
	s.planner.current(s)
	if s.planner.unknown != nil {
		s.fail(s.planner.unknown)
		return nil
	}
	if e := f.Refusal(s.planner.env.Schema); e != nil {
		s.fail(e)
		return nil
	}
	w := &refresh{s: s, f: f, home: home}
	opened, err := w.open()
	if err != nil || s.batch.failed {
		return err
	}
	if !opened {
		return w.refused(r)
	}
	count, err := w.gather()
	if err != nil || s.batch.failed {
		return err
	}
	return w.finish(r, count)
}

// open takes the lock and makes the table for the rows. It gives false where PostgreSQL has an error for the client.
func (w *refresh) open() (bool, error) {
	rows, err := w.ask("SELECT pleiad.open_refresh(" + w.f.Literal() + ", " + strconv.FormatBool(w.f.Concurrently) + ")")
	if rows == nil || rows[0] == nil {
		return false, err
	}
	w.owner = string(rows[0])
	may := "MEMBER"
	if w.s.serverMajor() >= 16 {
		may = "SET"
	}
	owner := quoteLiteral(w.owner)
	rows, err = w.ask("SELECT pg_catalog.current_setting('role'), pg_catalog.current_setting('search_path'), " +
		"pleiad.acting_role() OPERATOR(pg_catalog.=) " + owner + ", pg_catalog.pg_has_role(session_user, " + owner + ", '" + may + "')")
	if rows == nil {
		return false, err
	}
	w.role, w.path, w.acts = string(rows[0]), string(rows[1]), string(rows[2]) == "t"
	if !w.acts && string(rows[3]) != "t" {
		w.s.fail(errRefreshRole)
	}
	return true, nil
}

// ask runs a query of one row. The row is nil where it failed: the client has been told, without the functions that the error
// came up in, which no REFRESH has.
func (w *refresh) ask(sql string) ([][]byte, error) {
	rows, failure, err := w.home.Ask(sql)
	switch {
	case err != nil:
		return nil, w.s.lost(err)
	case failure != nil:
		e := executor.FrameToError(failure)
		e.Context, e.Position = "", 0
		w.s.fail(e)
		return nil, nil
	case len(rows) != 1:
		w.s.fail(pgerr.New(pgerr.InternalError, "a refresh's question gave %d rows", len(rows)))
		return nil, nil
	}
	return rows[0], nil
}

// refused lets PostgreSQL say what is wrong with a REFRESH. It must not run: home has its own part of the rows only.
func (w *refresh) refused(r *request) error {
	s := w.s
	if !w.f.Create {
		err := s.runStep(r, &router.Step{Where: router.WhereHome, SQL: string(r.text), Answer: true})
		if err != nil || s.batch.failed {
			return err
		}
	}
	s.fail(router.StaleError)
	return nil
}

// gather brings the rows of the view's query into the table, as the view's owner, and gives their number.
func (w *refresh) gather() (int64, error) {
	s := w.s
	restricted := s.serverMajor() >= 17 // RestrictSearchPath() of matview.c
	if restricted {
		if err := w.set("SET LOCAL search_path TO pg_catalog, pg_temp"); err != nil || s.batch.failed {
			return 0, err
		}
	}
	def, err := w.ask("SELECT pleiad.view_query(" + w.f.Literal() + "::pg_catalog.regclass)")
	if def == nil {
		return 0, err
	}
	if !w.acts {
		if err := w.set("SET LOCAL ROLE " + quoteIdent(w.owner)); err != nil || s.batch.failed {
			return 0, err
		}
	}
	s.planner.as = w.owner
	count, err := w.insert(strings.TrimSuffix(string(def[0]), ";"))
	s.planner.as = ""
	s.planner.stale()
	if err != nil || s.batch.failed {
		return 0, err
	}
	if !w.acts {
		role := "NONE"
		if w.role != "none" {
			role = quoteIdent(w.role)
		}
		if err := w.set("SET LOCAL ROLE " + role); err != nil || s.batch.failed {
			return 0, err
		}
	}
	if restricted {
		return count, w.set("SELECT pg_catalog.set_config('search_path', " + quoteLiteral(w.path) + ", true)")
	}
	return count, nil
}

// insert brings the query's rows into the table.
func (w *refresh) insert(query string) (int64, error) {
	r, err := w.s.fillRequest(w.home, router.RefreshRows, query)
	if r == nil {
		return 0, err
	}
	count, failure, err := w.s.captureCount(r, func([][]byte) error { return nil })
	if err != nil || failure != nil {
		return 0, w.s.collectFailed(failure, err)
	}
	return count, nil
}

// set changes a setting on all backends of the transaction, unseen by the client.
func (w *refresh) set(sql string) error {
	s := w.s
	for _, m := range s.gang.Members() {
		if !m.Began {
			continue
		}
		m.Internal(sql)
		if err := s.relay(m); err != nil || s.batch.failed {
			return err
		}
	}
	s.gang.Txn.NoteSetting(sql + "\n;")
	s.settingsChanged()
	return nil
}

// finish lets PostgreSQL refresh the view from the table.
func (w *refresh) finish(r *request, count int64) error {
	s := w.s
	view := w.f.Literal() + "::pg_catalog.regclass)"
	if row, err := w.ask("SELECT pleiad.begin_refresh(" + view); row == nil {
		return err
	}
	step := &router.Step{Where: router.WhereHome, SQL: string(r.text), Answer: true}
	if w.f.Create {
		step = &router.Step{Where: router.WhereHome, SQL: "REFRESH MATERIALIZED VIEW " + w.f.Relation()}
	}
	if err := s.runStep(r, step); err != nil || s.batch.failed {
		return err
	}
	row, err := w.ask("SELECT pleiad.end_refresh(" + view)
	if row == nil {
		return err
	}
	// The table may have been seen among the session's own relations.
	s.planner.tempStale = s.planner.tempStale || s.planner.tempAge > 0
	if w.f.Create {
		s.tag("SELECT " + strconv.FormatInt(count, 10))
	}
	return nil
}
