package proxy

import (
	"time"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// vacateLimit is how long PostgreSQL waits for the others in a database to leave it (CountOtherDBBackends in procarray.c).
const vacateLimit = 5 * time.Second

// vacate sees to it that nobody uses the database that a statement drops, renames or copies. Its clients may hold no server
// connection that PostgreSQL could count, so that they are counted here.
func (s *Session) vacate(r *request, d *router.DDL) *pgerr.Error {
	// What cannot be done to the session's own database PostgreSQL says itself.
	if d.Database == "" || d.Database == s.db.name {
		return nil
	}
	switch n := s.srv.awaitNobody(s, d.Database, d.Force); {
	case s.ctx.Err() != nil:
		return executor.ClientError(s.ctx.Err())
	case n > 0 && !d.Force: // by force, PostgreSQL ends the connections of those that are left
		return busyDatabase(d.Database, n, r.tmpl.Command == "CREATE DATABASE")
	}
	s.srv.forgetDatabase(d.Database)
	return nil
}

// awaitNobody waits for a database's clients to leave, and says how many have not. By force they are sent away.
func (srv *Server) awaitNobody(s *Session, name string, force bool) (left int) {
	deadline := time.NewTimer(vacateLimit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	told := map[*Session]bool{}
	for {
		left = 0
		srv.eachSession(func(other *Session) {
			if other.db.name != name {
				return
			}
			left++
			if force {
				other.sendAway(!told[other])
				told[other] = true
			}
		})
		if left == 0 {
			return 0
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return left
		case <-s.ctx.Done():
			return left
		}
	}
}

// sendAway ends a session of which another goroutine is the owner: what runs is cancelled, and its client is told 57P01.
func (s *Session) sendAway(cancel bool) {
	s.dying.Store(true)
	if cancel {
		s.Cancel()
	}
	// Wakes a session that waits for its client.
	_ = s.nc.SetReadDeadline(time.Unix(1, 0))
}

func busyDatabase(name string, others int, source bool) *pgerr.Error {
	what := "database"
	if source {
		what = "source database"
	}
	err := pgerr.New(pgerr.ObjectInUse, "%s %q is being accessed by other users", what, name)
	if others == 1 {
		return err.WithDetail("There is 1 other session using the database.")
	}
	return err.WithDetail("There are %d other sessions using the database.", others)
}

// forgetDatabase closes what is open to a database.
func (srv *Server) forgetDatabase(name string) {
	srv.mu.Lock()
	db := srv.databases[name]
	delete(srv.databases, name)
	srv.mu.Unlock()
	if db != nil {
		db.stop()
		db.pools.FlushDatabase(name)
	}
	srv.control.forget(name)
}
