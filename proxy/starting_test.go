package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/standby"
)

// refusedDial is the error of a socket where nobody listens any more.
func refusedDial(t *testing.T) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(t.TempDir(), "left")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err == nil {
		_ = c.Close()
		t.Fatal("somebody listens on a closed socket")
	}
	return err
}

func TestServersThatStartAreWaitedFor(t *testing.T) {
	later := time.Now().Add(time.Hour)
	starting := []error{
		refusedDial(t), &pgconn.PgError{Code: pgerr.CannotConnectNow}, standby.ErrNoPrimary,
	}
	for _, e := range starting {
		tries := 0
		err := retryUntil(t.Context(), later, func() error {
			if tries++; tries < 3 {
				return fmt.Errorf("look up: %w", e)
			}
			return nil
		})
		if err != nil || tries != 3 {
			t.Errorf("%v: ends after %d tries with %v", e, tries, err)
		}
	}
	for _, e := range []error{errors.New("certificate"), &pgconn.PgError{Code: pgerr.InsufficientPrivilege}} {
		tries := 0
		if err := retryUntil(t.Context(), later, func() error { tries++; return e }); err != e || tries != 1 {
			t.Errorf("%v: ends after %d tries with %v", e, tries, err)
		}
	}
}

func TestTheWaitForServersEnds(t *testing.T) {
	tries := 0
	refused := func() error { tries++; return standby.ErrNoPrimary }
	if err := retryUntil(t.Context(), time.Now().Add(-time.Second), refused); !errors.Is(err, standby.ErrNoPrimary) || tries != 1 {
		t.Errorf("past its deadline: %d tries, %v", tries, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := retryUntil(ctx, time.Now().Add(time.Hour), refused); !errors.Is(err, standby.ErrNoPrimary) || tries != 2 {
		t.Errorf("for a client that has left: %d tries, %v", tries, err)
	}
}
