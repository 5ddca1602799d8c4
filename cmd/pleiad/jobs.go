package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

// Commands that move shards. Each is a SQL function of the proxy's, which does the work in the background; the command
// starts it and watches.

// client is how commands reach the proxy, and how they speak.
type client struct {
	dsn    string
	output string
	detach bool
}

func (o *client) flags(c *cobra.Command, jobs bool) {
	o.dsnFlag(c)
	c.Flags().StringVar(&o.output, "output", "text", "text, or json: an object a line")
	if jobs {
		c.Flags().BoolVar(&o.detach, "detach", false, "start the job and do not watch it")
	}
}

func (o *client) dsnFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.dsn, "dsn", "", "the proxy and the database, as a URI or keywords; default from PGHOST (127.0.0.1), PGPORT (6432), "+
		"PGDATABASE (postgres), PGUSER …")
}

func (o *client) connect(ctx context.Context) (*pgx.Conn, error) {
	if o.output != "text" && o.output != "json" {
		return nil, fmt.Errorf("--output is %q, and must be text or json", o.output)
	}
	conn, err := pgx.Connect(ctx, o.address())
	if err != nil {
		return nil, fmt.Errorf("connect to the proxy: %w", err)
	}
	return conn, nil
}

// address is --dsn, or pleiad's own defaults for what the environment does not say.
func (o *client) address() string {
	if o.dsn != "" || os.Getenv("PGSERVICE") != "" {
		return o.dsn
	}
	var out []string
	for _, d := range [][2]string{{"PGHOST", "host=127.0.0.1"}, {"PGPORT", "port=6432"}, {"PGDATABASE", "dbname=postgres"}} {
		if os.Getenv(d[0]) == "" {
			out = append(out, d[1])
		}
	}
	return strings.Join(out, " ")
}

// start starts a job by a function of schema pleiad and watches it to its end.
func (o *client) start(cmd *cobra.Command, call string, args ...any) error {
	ctx := cmd.Context()
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var id int64
	if err := conn.QueryRow(ctx, "SELECT pleiad."+call, args...).Scan(&id); err != nil {
		return err
	}
	if o.detach {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), id)
		return err
	}
	return o.watch(ctx, conn, id, cmd.OutOrStdout())
}

// jobCommands are those about jobs.
func jobCommands() []*cobra.Command {
	return []*cobra.Command{
		rebalanceCommand(), moveCommand(), drainCommand(), addBackendCommand(), removeBackendCommand(), verifyCommand(),
		jobsCommand(), cancelCommand(), resumeCommand(),
	}
}

// pace are the flags of how fast a job may go.
type pace struct {
	parallel int
	rate     string
}

func (p *pace) flags(c *cobra.Command) {
	c.Flags().IntVar(&p.parallel, "max-parallel", 0, "moves at once (default rebalancer.max_parallel)")
	c.Flags().StringVar(&p.rate, "max-rate", "", "of all copies together, a second, such as 50MB (default rebalancer.max_rate)")
}

// args are the values for SQL; absent ones are NULL.
func (p *pace) args() (parallel, rate any) {
	if p.parallel > 0 {
		parallel = p.parallel
	}
	if p.rate != "" {
		rate = strings.TrimSuffix(p.rate, "/s")
	}
	return parallel, rate
}

func rebalanceCommand() *cobra.Command {
	var o client
	var p pace
	var by string
	var dry bool
	c := &cobra.Command{
		Use: "rebalance", Short: "Move shards until all backends have their share", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parallel, rate := p.args()
			return o.start(cmd, "rebalance(by => $1::text, dry_run => $2::bool, max_parallel => $3::int, max_rate => $4::text)", by, dry, parallel, rate)
		},
	}
	o.flags(c, true)
	p.flags(c)
	c.Flags().StringVar(&by, "by", "shards", "what is balanced: shards, bytes or load")
	c.Flags().BoolVar(&dry, "dry-run", false, "print the moves and carry none out")
	return c
}

func moveCommand() *cobra.Command {
	var o client
	var p pace
	var to string
	var group int
	c := &cobra.Command{
		Use: "move SHARD", Short: "Move one shard to a backend", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			shard, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("shard %q is not a number", args[0])
			}
			var colocation any
			if group > 0 {
				colocation = group
			}
			_, rate := p.args()
			return o.start(cmd, "move_shard($1::int, $2::text, $3::int, $4::text)", shard, to, colocation, rate)
		},
	}
	o.flags(c, true)
	c.Flags().StringVar(&p.rate, "max-rate", "", "of the copy, a second, such as 50MB (default rebalancer.max_rate)")
	c.Flags().StringVar(&to, "to", "", "the backend")
	c.Flags().IntVar(&group, "group", 0, "the colocation group, where there are several (see pleiad.tables)")
	_ = c.MarkFlagRequired("to") // it is there
	return c
}

func drainCommand() *cobra.Command {
	var o client
	var p pace
	var dry bool
	c := &cobra.Command{
		Use: "drain BACKEND", Short: "Move every shard of a backend to the others", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parallel, rate := p.args()
			return o.start(cmd, "drain($1::text, $2::int, $3::text, $4::bool)", args[0], parallel, rate, dry)
		},
	}
	o.flags(c, true)
	p.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "print the moves and carry none out")
	return c
}

func addBackendCommand() *cobra.Command {
	var o client
	c := &cobra.Command{
		Use:   "add-backend NAME",
		Short: "Give a new server all schema objects, roles and reference tables, and let it take shards",
		Long: "Give a new server all schema objects, roles and reference tables, and let it take shards.\n\n" +
			"The configuration of the proxy names the server first. `pleiad rebalance` gives it its share afterwards.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.start(cmd, "add_backend($1::text)", args[0])
		},
	}
	o.flags(c, true)
	return c
}

func removeBackendCommand() *cobra.Command {
	var o client
	var p pace
	c := &cobra.Command{
		Use: "remove-backend NAME", Short: "Drain a backend and forget it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parallel, rate := p.args()
			return o.start(cmd, "remove_backend($1::text, $2::int, $3::text)", args[0], parallel, rate)
		},
	}
	o.flags(c, true)
	p.flags(c)
	return c
}

func verifyCommand() *cobra.Command {
	var o client
	c := &cobra.Command{
		Use: "verify [TABLE]", Short: "Compare the shard map with what is on the backends, and these with each other", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var table any
			if len(args) > 0 {
				table = args[0]
			}
			return o.start(cmd, "verify($1::text::regclass)", table)
		},
	}
	o.flags(c, true)
	return c
}

func jobsCommand() *cobra.Command {
	var o client
	c := &cobra.Command{
		Use: "jobs", Short: "List jobs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := o.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(cmd.Context())) }()
			jobs, err := readJobs(cmd.Context(), conn, 0)
			if err != nil {
				return err
			}
			return writeJobs(cmd.OutOrStdout(), jobs, o.output)
		},
	}
	o.flags(c, false)
	return c
}

func writeJobs(w io.Writer, jobs []jobStatus, output string) error {
	if output == "json" {
		for _, j := range jobs {
			if err := writeJSON(w, j); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tKIND\tSTATE\tMOVES\tSTARTED\tDETAIL")
	for _, j := range jobs {
		started := ""
		if j.Started != nil {
			started = j.Started.Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d/%d\t%s\t%s\n", j.ID, j.Kind, j.State, j.Done, j.Moves, started, j.Detail)
	}
	return t.Flush()
}

func cancelCommand() *cobra.Command {
	return aboutJob("cancel JOB", "End a job: what is under way is undone, moves that are done stay", "cancel_job", "job %d has ended already")
}

func resumeCommand() *cobra.Command {
	return aboutJob("resume JOB", "Let a job that failed or was cancelled go on", "resume_job", "job %d has neither failed nor been cancelled")
}

func aboutJob(use, short, function, refused string) *cobra.Command {
	var o client
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not the number of a job", args[0])
			}
			ctx := cmd.Context()
			conn, err := o.connect(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			var ok bool
			if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pleiad.jobs WHERE id = $1)", id).Scan(&ok); err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("there is no job %d", id)
			}
			if err := conn.QueryRow(ctx, "SELECT pleiad."+function+"($1)", id).Scan(&ok); err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf(refused, id)
			}
			if o.detach {
				return nil
			}
			err = o.watch(ctx, conn, id, cmd.OutOrStdout())
			if function == "cancel_job" && err == errNotDone {
				return nil
			}
			return err
		},
	}
	o.flags(c, true)
	return c
}
