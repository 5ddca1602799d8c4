package proxy

import (
	"slices"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// A prepared statement keeps the columns that it had at first: RevalidateCachedQuery of PostgreSQL's plancache.c fails it once it
// would have others. A client's statement is prepared again on other connections after a change, where no server knows of these.

// noteTold keeps what the client knows of a statement's columns, before its plan is replaced.
func (st *statement) noteTold() {
	var types []uint32
	switch {
	case st.told != nil:
		return
	case st.shape != nil && st.shape.Known && st.shapeScope == st.plan.scope:
		types = slices.Clone(st.shape.Columns)
	case st.described != nil && st.describedScope == st.plan.scope:
		types = executor.ColumnTypes(st.described)
	default:
		return
	}
	st.told = &types
}

// sameResult fails the message if the statement has other columns by now than the client was told of.
func (s *Session) sameResult(st *statement) (bool, error) {
	if st.told == nil || st.sameScope == st.plan.scope || !describable(st.plan.tmpl) {
		return true, nil
	}
	fields, err := s.fieldsOf(st)
	if err != nil || fields == nil {
		return false, err
	}
	if !slices.Equal(*st.told, executor.ColumnTypes(fields)) {
		e := pgerr.New(pgerr.FeatureNotSupported, "cached plan must not change result type")
		e.Routine = "RevalidateCachedQuery" // by which the JDBC driver and asyncpg know to prepare it again
		return false, s.failBind(e)
	}
	st.sameScope = st.plan.scope
	return true, nil
}
