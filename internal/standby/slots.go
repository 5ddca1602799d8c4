package standby

import "context"

// moveSlots selects the slots of shard moves that a standby has brought along from when it was the primary. Their moves have
// started over at its successor; here they keep log and dead rows for nobody, and would be read from the wrong place if the
// server became the primary again.
const moveSlots = `SELECT slot_name FROM pg_catalog.pg_replication_slots
  WHERE slot_type = 'logical' AND NOT active AND slot_name ~ '^pleiad_(move|join)_[0-9]'`

// dropMoveSlots drops them. A server that has been promoted since it was looked at keeps its slots.
func (b *Backend) dropMoveSlots(ctx context.Context, s *Server) {
	ctx, stop := context.WithTimeout(ctx, 2*b.patience())
	defer stop()
	conn, err := s.dial(ctx)
	if err != nil {
		return // it is looked at again
	}
	defer hangUp(conn)
	_, err = conn.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM ("+moveSlots+") s WHERE pg_catalog.pg_is_in_recovery()")
	if err != nil {
		b.log.Warn("move_slots_not_dropped", "backend", b.Name, "server", s.Name, "error", err)
		return
	}
	b.log.Info("move_slots_dropped", "backend", b.Name, "server", s.Name)
}
