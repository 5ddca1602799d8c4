package executor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/backend"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// ClientError turns what went wrong into what the client is told.
func ClientError(err error) *pgerr.Error {
	var own *pgerr.Error
	if errors.As(err, &own) {
		return own
	}
	var frame *FrameError
	if errors.As(err, &frame) {
		return FrameToError(frame.Frame)
	}
	if errors.Is(err, context.Canceled) {
		return pgerr.New(pgerr.QueryCanceled, "canceling statement due to user request")
	}
	var lost *backend.LostError
	if errors.As(err, &lost) {
		return pgerr.New(pgerr.ConnectionFailure, "connection to backend %q was lost", lost.Backend).
			WithDetail("%v", lost.Err)
	}
	var dial *backend.DialError
	if errors.As(err, &dial) {
		return pgerr.New(pgerr.ConnectionFailure, "cannot connect to backend %q", dial.Backend).
			WithDetail("%v", dial.Err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return &pgerr.Error{Severity: "ERROR", Code: pg.Code, Message: pg.Message, Detail: pg.Detail, Hint: pg.Hint}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return pgerr.New(pgerr.QueryCanceled, "canceling statement due to user request")
	}
	return pgerr.New(pgerr.InternalError, "%v", err)
}
