package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	var o client
	c := &cobra.Command{
		Use:   "status",
		Short: "Show every server: who is the primary, how far behind the replicas are",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.status(cmd.Context(), cmd.OutOrStdout()) },
	}
	o.flags(c, false)
	return c
}

const statusSQL = `SELECT backend, name, role, state, coalesce(timeline::text, ''), coalesce(lsn::text, ''),
	coalesce(pg_catalog.pg_size_pretty(lag_bytes), ''), coalesce(lag_ms::text || ' ms', ''),
	coalesce(to_char(since, 'YYYY-MM-DD HH24:MI:SS'), ''), detail FROM pleiad.backends`

func (o *client) status(ctx context.Context, out io.Writer) error {
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if o.output == "json" {
		return statusJSON(ctx, conn, out)
	}
	rows, err := conn.Query(ctx, statusSQL)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		line := make([]string, 10)
		into := make([]any, len(line))
		for i := range line {
			into[i] = &line[i]
		}
		return line, row.Scan(into...)
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BACKEND\tSERVER\tROLE\tSTATE\tTIMELINE\tLSN\tBEHIND\tAGE\tSINCE\t")
	for _, line := range all {
		fmt.Fprintln(w, strings.Join(line[:9], "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range all {
		if detail := line[9]; detail != "" {
			fmt.Fprintf(out, "%s: %s\n", line[1], detail)
		}
	}
	return nil
}

func statusJSON(ctx context.Context, conn *pgx.Conn, out io.Writer) error {
	rows, err := conn.Query(ctx, "SELECT pg_catalog.to_json(b)::text FROM pleiad.backends b")
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

func failoverCommand() *cobra.Command {
	var o client
	var to string
	c := &cobra.Command{
		Use:   "failover BACKEND",
		Short: "Let a replica take over from a primary that is well, without losing a commit; for superusers",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.failover(cmd.Context(), args[0], to, cmd.OutOrStdout())
		},
	}
	o.flags(c, false)
	c.Flags().StringVar(&to, "to", "", "the replica (default: the one that has the most log)")
	return c
}

func (o *client) failover(ctx context.Context, backend, to string, out io.Writer) error {
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	order := backend
	if to != "" {
		order += " to " + to
	}
	began := time.Now()
	if _, err := conn.Exec(ctx, "SET pleiad.failover TO '"+strings.ReplaceAll(order, "'", "''")+"'"); err != nil {
		return err
	}
	took := time.Since(began)
	var now string
	err = conn.QueryRow(ctx, "SELECT name FROM pleiad.backends WHERE backend = $1 AND role = 'primary'", backend).Scan(&now)
	if err != nil {
		return err
	}
	if o.output == "json" {
		_, err = fmt.Fprintf(out, "{\"backend\": %q, \"primary\": %q, \"took_ms\": %d}\n", backend, now, took.Milliseconds())
		return err
	}
	_, err = fmt.Fprintf(out, "%s is the primary of backend %s, after %d ms\n", now, backend, took.Milliseconds())
	return err
}
