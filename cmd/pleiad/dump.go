package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pleiad/pleiad/internal/pgdump"
)

func dumpCommand() *cobra.Command {
	var o client
	var file string
	var schemaOnly bool
	c := &cobra.Command{
		Use:   "dump [DATABASE]",
		Short: "Write a SQL script of a whole database, all rows of one snapshot, for psql",
		Long: "Write a SQL script that makes everything in a database, sharded and reference tables as such, with all rows as one snapshot of all\n" +
			"servers has them. psql -X -v ON_ERROR_STOP=1 -f runs it in an empty database of a pleiad cluster, or of one PostgreSQL.\n" +
			"It runs pg_dump and pg_restore, which have to be installed.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.output = "text"
			return o.dump(cmd.Context(), append(args, "")[0], file, schemaOnly, cmd.OutOrStdout())
		},
	}
	o.dsnFlag(c)
	c.Flags().StringVarP(&file, "file", "f", "", "where to write it; it is there once it is complete (default: standard output)")
	c.Flags().BoolVar(&schemaOnly, "schema-only", false, "the definitions without rows")
	return c
}

func (o *client) dump(ctx context.Context, database, file string, schemaOnly bool, out io.Writer) error {
	cfg, err := pgx.ParseConfig(o.address())
	if err != nil {
		return err
	}
	if database != "" {
		cfg.Database = database
	}
	cfg.RuntimeParams["application_name"] = "pleiad dump"
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	// What pg_dump leaves out is what this command adds.
	env, err := pgdump.Environ(os.Environ(), o.address(), database, "pleiad.partial_dump=on")
	if err != nil {
		return err
	}
	return into(file, out, func(w io.Writer) error {
		return pgdump.Write(ctx, pgdump.Options{Config: cfg, Environ: env, SchemaOnly: schemaOnly}, w)
	})
}

// into lets write fill a file, which appears under its name once it is complete and on disk. Without a name, or where that
// is a device or a pipe, what is written goes there at once.
func into(file string, out io.Writer, write func(io.Writer) error) error {
	if file == "" {
		return buffered(out, write)
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(buffered(f, write), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.part")
	if err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	err = buffered(f, write)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirectory(filepath.Dir(file))
}

// syncDirectory makes names in a directory durable.
func syncDirectory(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func buffered(out io.Writer, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(out, 256<<10)
	return errors.Join(write(w), w.Flush())
}
