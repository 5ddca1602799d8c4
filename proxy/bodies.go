package proxy

import (
	"maps"

	"github.com/pleiad/pleiad/router"
)

// tempSQL reads what the session's own schema holds, which is in no snapshot: the names of its relations, functions and
// types, whether each is a relation, and the source of the code that using it runs. What other words than its own the
// server's rendering has (CREATE, EXECUTE) is left out, since the source is judged by its words.
const tempSQL = `SELECT c.relname, true, pg_catalog.concat_ws(' ',
    (SELECT pg_catalog.string_agg(pg_catalog.format_type(a.atttypid, -1), ' ') FROM pg_catalog.pg_attribute a
     WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
    (SELECT pg_catalog.string_agg(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ' ') FROM pg_catalog.pg_attrdef d WHERE d.adrelid OPERATOR(pg_catalog.=) c.oid),
    (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), ' ') FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid),
    (SELECT pg_catalog.string_agg(pg_catalog.replace(pg_catalog.pg_get_indexdef(i.indexrelid), 'CREATE ', ''), ' ') FROM pg_catalog.pg_index i
     WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid),
    (SELECT pg_catalog.string_agg(pg_catalog.replace(pg_catalog.replace(pg_catalog.pg_get_triggerdef(t.oid), 'CREATE ', ''), 'EXECUTE ', ''), ' ')
     FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), ' ')
     FROM pg_catalog.pg_policy p WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid),
    CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'v' THEN pg_catalog.pg_get_viewdef(c.oid) END,
    (SELECT pg_catalog.string_agg('UPDATE', ' ') FROM pg_catalog.pg_rewrite w
     WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid AND w.ev_type OPERATOR(pg_catalog.<>) '1'))
  FROM pg_catalog.pg_class c
  WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
    AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t,c}'::pg_catalog."char"[])
UNION ALL SELECT f.proname, false, pg_catalog.concat_ws(' ',
    CASE WHEN f.prokind OPERATOR(pg_catalog.=) 'a' THEN NULL WHEN f.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_function_sqlbody(f.oid) ELSE f.prosrc END,
    CASE WHEN l.lanname OPERATOR(pg_catalog.<>) ALL ('{sql,plpgsql,internal}'::pg_catalog.name[]) THEN 'execute' END,
    pg_catalog.pg_get_function_arguments(f.oid), pg_catalog.pg_get_function_result(f.oid),
    (SELECT pg_catalog.concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggcombinefn)
     FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) f.oid))
  FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) f.prolang
  WHERE f.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
UNION ALL SELECT t.typname, false, pg_catalog.concat_ws(' ', t.typdefault, pg_catalog.format_type(t.typbasetype, -1),
    (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), ' ') FROM pg_catalog.pg_constraint k WHERE k.contypid OPERATOR(pg_catalog.=) t.oid),
    (SELECT pg_catalog.string_agg(pg_catalog.format_type(a.atttypid, -1), ' ') FROM pg_catalog.pg_attribute a
     WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))
  FROM pg_catalog.pg_type t
  WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() AND (t.typtype OPERATOR(pg_catalog.=) 'd'
    OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) t.typrelid AND c.relkind OPERATOR(pg_catalog.=) 'c'))`

// loadTemp reads the names of the session's temporary relations, and its other temporary code, which are on its pinned
// connection to home.
func (s *Session) loadTemp() {
	p := &s.planner
	if s.gang.Member(s.db.home) == nil {
		// The connection, and with it every temporary relation, is gone.
		p.setTemp(nil, nil)
		return
	}
	m, err := s.asking(s.db.home)
	if err != nil {
		s.cannotLearn("the temporary relations", nil, err)
		return
	}
	rows, errFrame, err := m.Ask(tempSQL)
	if err != nil || errFrame != nil {
		s.cannotLearn("the temporary relations", errFrame, err)
		return
	}
	var temp map[string]bool
	var code map[string]string
	for _, row := range rows {
		if temp == nil {
			temp, code = map[string]bool{}, map[string]string{}
		}
		name := string(row[0])
		if string(row[1]) == "t" {
			temp[name] = true
		}
		code[name] += " " + string(row[2])
	}
	p.setTemp(temp, code)
}

// setTemp takes what the session's own schema is known to hold now.
func (p *planner) setTemp(temp map[string]bool, code map[string]string) {
	if !maps.Equal(temp, p.temp) {
		p.tempAge++
	}
	p.tempStale, p.fresh, p.temp, p.tempCode = false, false, temp, code
}

// planPrepared plans a statement for the parameter types that the client gave it.
func (s *Session) planPrepared(st *statement) planned {
	p := s.planOwned([]byte(st.text))
	if e := s.planner.env.TypedRefusal(p.tmpl, st.oids, st.types); e != nil {
		p.tmpl = &router.Template{Kind: router.KindRefuse, Command: p.tmpl.Command, Refusal: e}
	}
	return p
}
