// Command pleiad makes several PostgreSQL servers behave like one document database.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	shareProcessors()
	root := &cobra.Command{
		Use:           "pleiad",
		Short:         "Several PostgreSQL servers as one document database",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(devCommand(), serveCommand(), checkConfigCommand(), statusCommand(), failoverCommand(), dumpCommand(), versionCommand())
	root.AddCommand(jobCommands()...)
	if err := root.ExecuteContext(ctx); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			os.Exit(int(code))
		}
		complain(os.Stderr, err)
		os.Exit(1)
	}
}

// complain says what is wrong, and what the server says to do about it.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "pleiad:", err)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Hint != "" {
		fmt.Fprintln(w, "HINT:", pg.Hint)
	}
}

// exitCode ends the process with a status and no further message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// shareProcessors lets Go run on half of the machine's processors, unless GOMAXPROCS says otherwise. The proxy's work is
// system calls; threads that hand it to each other cost more than they bring (on two processors, with two threads
// instead of one, a fifth more CPU time per statement), and the PostgreSQL servers often run beside it.
func shareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
