package cancelkey

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/startup"
)

// A real client keeps the key that it was told, whatever its length, and its cancel request finds the session.
func TestCancelFromARealClient(t *testing.T) {
	for version, length := range map[string]int{"3.0": 4, "3.2": 32} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := New()
		cancelled := make(chan int, 1)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go serve(ctx, conn, r, cancelled)
			}
		}()
		conn, err := pgconn.Connect(ctx, "postgres://ada@"+l.Addr().String()+"/lab?sslmode=disable&max_protocol_version="+version)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.CancelRequest(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-cancelled:
			if got != length {
				t.Fatalf("protocol %s: cancelled by a key of %d bytes", version, got)
			}
		case <-ctx.Done():
			t.Fatal("nothing was cancelled")
		}
		_ = conn.Close(ctx)
	}
}

func serve(ctx context.Context, conn net.Conn, r *Registry, cancelled chan<- int) {
	defer conn.Close()
	res, err := startup.Accept(ctx, conn, startup.Options{})
	if err != nil {
		return
	}
	if c := res.Cancel; c != nil {
		r.Cancel(c.PID, c.Secret)
		return
	}
	length := res.Session.Protocol.SecretLength()
	key, err := r.Register(length, func() { cancelled <- length })
	if err != nil {
		return
	}
	defer r.Remove(key.PID)
	wire := pgproto3.NewBackend(conn, conn)
	wire.Send(&pgproto3.AuthenticationOk{})
	wire.Send(&pgproto3.BackendKeyData{ProcessID: uint32(key.PID), SecretKey: key.Secret})
	wire.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if wire.Flush() == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}
