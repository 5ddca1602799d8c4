package proxy

import "github.com/pleiad/pleiad/internal/pgerr"

// partialDump is the setting of a session whose pg_dump may leave out the rows of sharded tables.
const partialDump = "pleiad.partial_dump"

// partialDump refuses what a pg_dump that takes rows goes on with once it has locked a sharded table. It would take the
// definition, as of a partitioned table whose partitions are dumped by themselves, and none of the rows, and end with status 0.
func (s *Session) partialDump() bool {
	if !s.gang.Txn.ReadLocked || s.own(partialDump) == "on" {
		return false
	}
	s.fail(pgerr.New(pgerr.FeatureNotSupported, "pg_dump does not see the rows of sharded tables").
		WithHint("Use pleiad dump. With pg_dump --schema-only, or with PGOPTIONS='-c pleiad.partial_dump=on', their definitions are dumped and no rows."))
	return true
}

// runHome runs a statement that is home's.
func (s *Session) runHome(r *request) error {
	switch {
	case r.tmpl.DumpsRows && s.partialDump():
		return nil
	case len(r.tmpl.SetConfig) > 0:
		return s.runSetConfig(r)
	}
	return s.forward(r, s.db.home)
}
