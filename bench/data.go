package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// pgbench's -S, as a file because only the accounts are there, and the mix of documents, four reads to one upsert.
const (
	selectScript = `\set aid random(1, :accounts)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
`
	jsonScript = `\set id random(1, :documents)
\set n random(1, 1000)
\set dice random(1, 5)
\if :dice > 1
SELECT doc FROM documents WHERE id = :id;
\else
INSERT INTO documents VALUES (:id, jsonb_build_object('n', :n::int, 'kind', 'upserted')) ON CONFLICT (id) DO UPDATE SET doc = documents.doc || excluded.doc;
\endif
`
)

const (
	accountsTable = "create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84))"
	accountsRows  = "select i, 1, 0, '' from generate_series(1, %d) i"
	documentTable = "create table documents (id int primary key, doc jsonb)"
	documentRows  = `select i, jsonb_build_object('n', i, 'name', 'document ' || i, 'tags', jsonb_build_array('a', 'b', i %% 7), 'nested', jsonb_build_object('x', md5(i::text))) from generate_series(1, %d) i`
)

// writeScripts puts pgbench's scripts into the directory.
func (b *running) writeScripts() error {
	for name, text := range map[string]string{"select": selectScript, "json": jsonScript} {
		if err := os.WriteFile(b.scriptPath(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write script: %w", err)
		}
	}
	return nil
}

func (b *running) scriptPath(name string) string { return filepath.Join(b.dir, name+".pgbench") }

// makeDirect fills a database on one server, behind pleiad's back.
func (b *running) makeDirect(ctx context.Context, s server) error {
	if err := b.writeScripts(); err != nil {
		return err
	}
	socket := func(database string) string {
		return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%s", database, url.QueryEscape(s.socket), s.port)
	}
	err := run(ctx, socket("postgres"),
		fmt.Sprintf("create role %s login password '%s'", benchRole, benchPassword),
		fmt.Sprintf("create database %s owner %s", benchDatabase, benchRole))
	if err != nil {
		return err
	}
	return run(ctx, socket(benchDatabase), "set role "+benchRole,
		accountsTable, "insert into pgbench_accounts "+fmt.Sprintf(accountsRows, b.o.accounts),
		documentTable, "insert into documents "+fmt.Sprintf(documentRows, b.o.documents),
		"reset role", "vacuum analyze")
}

// makeSharded makes the same rows through pleiad.
func (b *running) makeSharded(ctx context.Context) error {
	err := run(ctx, b.pleiadURI, accountsTable+" partition by hash (aid)", documentTable+" partition by hash (id)")
	if err != nil {
		return err
	}
	for table, rows := range map[string]string{
		"pgbench_accounts": fmt.Sprintf(accountsRows, b.o.accounts),
		"documents":        fmt.Sprintf(documentRows, b.o.documents),
	} {
		if err := copyRows(ctx, b.pleiadURI, table, rows); err != nil {
			return err
		}
	}
	return run(ctx, b.pleiadURI, "vacuum analyze pgbench_accounts", "vacuum analyze documents")
}

// makeLocal makes the same rows through pleiad in local tables, which are on one server. It returns where they are.
func (b *running) makeLocal(ctx context.Context) (dsn string, err error) {
	if err := run(ctx, b.pleiadURI, "create database "+localDatabase); err != nil {
		return "", err
	}
	u, err := url.Parse(b.pleiadURI)
	if err != nil {
		return "", fmt.Errorf("read pleiad's address: %w", err)
	}
	u.Path = "/" + localDatabase
	dsn = u.String()
	return dsn, run(ctx, dsn,
		accountsTable, "insert into pgbench_accounts "+fmt.Sprintf(accountsRows, b.o.accounts),
		documentTable, "insert into documents "+fmt.Sprintf(documentRows, b.o.documents),
		"vacuum analyze pgbench_accounts", "vacuum analyze documents")
}

// copyRows has the first connection make rows that the second one stores, without holding them.
func copyRows(ctx context.Context, dsn, table, query string) error {
	from, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("fill %s: %w", table, err)
	}
	defer from.Close(ctx)
	to, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("fill %s: %w", table, err)
	}
	defer to.Close(ctx)
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("fill %s: %w", table, err)
	}
	made := make(chan error, 1)
	go func() {
		_, err := from.PgConn().CopyTo(ctx, w, "copy ("+query+") to stdout")
		w.Close()
		made <- err
	}()
	_, err = to.PgConn().CopyFrom(ctx, r, "copy "+table+" from stdin")
	r.Close()
	if madeErr := <-made; err == nil {
		err = madeErr
	}
	if err != nil {
		return fmt.Errorf("fill %s: %w", table, err)
	}
	return nil
}

func run(ctx context.Context, dsn string, statements ...string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close(ctx)
	for _, sql := range statements {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("run %.60s: %w", sql, err)
		}
	}
	return nil
}
