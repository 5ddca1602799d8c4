package proxy

import "strings"

// cursorRow is a row of pg_cursors.
type cursorRow struct {
	name, statement          string
	hold, binary, scrollable bool
	made                     string
}

// cursorRows is what stands in the place of pg_cursors: the session's cursors and portals, and those that functions have
// opened, which servers alone know.
func (s *Session) cursorRows() (rows string, failed bool, err error) {
	found, failed, err := s.serverCursors()
	if failed || err != nil {
		return "", failed, err
	}
	for name, c := range s.cursors.all {
		row := cursorRow{name: name, statement: c.source, hold: c.hold, binary: c.binary, made: instantOf(c.made)}
		if c.merged != nil {
			if row.scrollable, err = c.merged.Scrolls(s.ctx); err != nil {
				return "", true, s.lostOr(err)
			}
		} else if own, ok := found[name]; ok {
			row.scrollable, row.made = own.scrollable, own.made
		}
		found[name] = row
	}
	for name, p := range s.portals {
		found[name] = cursorRow{name: name, statement: p.st.source(), made: instantOf(p.made)}
	}
	values := []string{"(NULL::pg_catalog.text, NULL::pg_catalog.text, false, false, false, NULL::pg_catalog.timestamptz)"}
	for _, c := range found {
		values = append(values, "("+quoteLiteral(c.name)+", "+quoteLiteral(c.statement)+", "+boolean(c.hold)+", "+boolean(c.binary)+", "+
			boolean(c.scrollable)+", "+quoteLiteral(c.made)+")")
	}
	return "(SELECT v.* FROM (VALUES " + strings.Join(values, ", ") +
		") v (name, statement, is_holdable, is_binary, is_scrollable, creation_time) WHERE v.name IS NOT NULL)", false, nil
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

const serverCursorsSQL = "SELECT name, statement, is_holdable, is_binary, is_scrollable," +
	" pg_catalog.concat(pg_catalog.to_char(pg_catalog.timezone('UTC', creation_time), 'YYYY-MM-DD HH24:MI:SS.US'), '+00')" +
	" FROM pg_catalog.pg_cursors WHERE name OPERATOR(pg_catalog.<>) ''"

// serverCursors are the named cursors of the servers that the session is at.
func (s *Session) serverCursors() (found map[string]cursorRow, failed bool, err error) {
	found = map[string]cursorRow{}
	for _, m := range s.gang.Members() {
		if !m.Began && !m.Pinned {
			continue
		}
		rows, failure, err := m.Ask(serverCursorsSQL)
		if err != nil || failure != nil {
			return nil, true, s.answerFailure(failure, err)
		}
		for _, r := range rows {
			is := func(i int) bool { return string(r[i]) == "t" }
			found[string(r[0])] = cursorRow{string(r[0]), string(r[1]), is(2), is(3), is(4), string(r[5])}
		}
	}
	return found, false, nil
}

// sourceOf is the text that pg_cursors shows of a cursor: the whole message, as PostgreSQL has it.
func (s *Session) sourceOf(r *request) string {
	if r.message == nil {
		return string(r.client())
	}
	if s.messageText == "" {
		s.messageText = string(r.message) // once for all the cursors of a message
	}
	return s.messageText
}
