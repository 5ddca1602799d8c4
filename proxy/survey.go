package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/catalog"
)

// The survey finds the databases that have transactions to recover, whether a client has asked for them or not, and
// opens them: a database that is open recovers its own. It also does what a start with home down could not.

// surveyTimeout bounds one look at a backend.
const surveyTimeout = 5 * time.Second

// warmUp opens the maintenance database before the first client comes, for its logins need the secret there. A home that
// does not answer is not waited for: the survey goes on asking.
func (srv *Server) warmUp(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, surveyTimeout)
	defer stop()
	if err := srv.prepareHome(ctx); err != nil {
		srv.log.Warn("database_not_opened", "database", maintenanceDB, "error", err)
	}
}

// prepareHome opens the maintenance database and reads the secret that is kept there.
func (srv *Server) prepareHome(ctx context.Context) error {
	if _, err := srv.database(ctx, maintenanceDB); err != nil {
		return err
	}
	srv.applying.Lock()
	known := srv.mockSecret != nil
	srv.applying.Unlock()
	if known {
		return nil
	}
	var secret []byte
	err := srv.control.with(ctx, srv.config().Home, maintenanceDB, func(conn *pgx.Conn) (err error) {
		secret, err = catalog.Secret(ctx, conn, catalog.MockSecret)
		return err
	})
	if err != nil {
		return err
	}
	srv.applying.Lock()
	defer srv.applying.Unlock()
	srv.mockSecret = secret
	a, err := srv.newAuth(srv.config())
	if err != nil {
		return err
	}
	srv.auth.Store(a)
	return nil
}

// survey runs until ctx ends. Each backend has its own rounds: one that hangs holds up no other.
func (srv *Server) survey(ctx context.Context) {
	var rounds sync.WaitGroup
	rounds.Go(func() {
		srv.everyInterval(ctx, func(ctx context.Context) {
			if err := srv.prepareHome(ctx); err != nil {
				srv.log.Debug("database_not_opened", "database", maintenanceDB, "error", err)
			}
		})
	})
	rounds.Go(func() { srv.openWithJobs(ctx) })
	for _, b := range srv.config().Backends {
		refused := map[string]bool{} // databases that could not be opened; logged once
		rounds.Go(func() {
			srv.everyInterval(ctx, func(ctx context.Context) { srv.surveyBackend(ctx, b.Name, refused) })
		})
	}
	rounds.Wait()
}

// everyInterval calls f until ctx ends, with transactions.recovery_interval between two calls.
func (srv *Server) everyInterval(ctx context.Context, f func(context.Context)) {
	for {
		round, stop := context.WithTimeout(ctx, surveyTimeout)
		f(round)
		stop()
		select {
		case <-ctx.Done():
			return
		case <-time.After(srv.recoveryInterval()):
		}
	}
}

// recoveryInterval is between two looks at prepared transactions.
func (srv *Server) recoveryInterval() time.Duration {
	return max(srv.config().Transactions.RecoveryInterval.D(), 100*time.Millisecond)
}

// surveyBackend opens the databases that a backend has this cluster's prepared transactions of. One that is down is
// asked again in the next round.
func (srv *Server) surveyBackend(ctx context.Context, name string, refused map[string]bool) {
	var found []string
	err := srv.control.with(ctx, name, maintenanceDB, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT DISTINCT database::text FROM pg_catalog.pg_prepared_xacts
			WHERE pg_catalog.starts_with(gid, $1)`, srv.clusterPrefix)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return // the server's state says so
	}
	for _, database := range found {
		_, err := srv.database(ctx, database)
		if err != nil && !refused[database] && ctx.Err() == nil {
			srv.log.Warn("database_not_opened", "database", database, "backend", name, "error", err)
		}
		refused[database] = err != nil
	}
}
