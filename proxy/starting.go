package proxy

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/auth"
	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
)

// startGrace is how long after the start a client that logs in waits for servers that start as well.
const startGrace = 5 * time.Second

// lookupRole is findRole for a client that logs in.
func (srv *Server) lookupRole(ctx context.Context, user string) (role auth.Role, err error) {
	err = srv.whileStarting(ctx, func() error {
		role, err = srv.findRole(ctx, user)
		return err
	})
	return role, err
}

// whileStarting calls f again, for a while after the start, as long as what it asks has not started.
func (srv *Server) whileStarting(ctx context.Context, f func() error) error {
	return retryUntil(ctx, srv.began.Add(startGrace), f)
}

func retryUntil(ctx context.Context, deadline time.Time, f func() error) error {
	for {
		err := f()
		if err == nil || !notStarted(err) || !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(primaryRetry):
		}
	}
}

// notStarted tells the errors of a server that does not run yet, says that it is starting, or is not known to be the primary.
func notStarted(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgerr.CannotConnectNow
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) || errors.Is(err, standby.ErrNoPrimary)
}
