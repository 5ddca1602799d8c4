package proxy

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/executor"
)

// collations proves the order of text: for each collation, whether every backend orders as this process can.
type collations struct {
	db *Database

	mu    sync.Mutex
	known map[string]func(a, b []byte) int
}

func (db *Database) collations() executor.Collations { return &db.collate }

// Compare implements executor.Collations.
func (c *collations) Compare(name string) (func(a, b []byte) int, bool) {
	if name == "" {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.known[name]; ok {
		return f, f != nil
	}
	ctx, stop := c.db.srv.controlContext()
	defer stop()
	f, err := c.prove(ctx, name)
	if err != nil {
		return nil, false // asked again next time
	}
	if c.known == nil {
		c.known = map[string]func(a, b []byte) int{}
	}
	c.known[name] = f
	return f, f != nil
}

// prove looks at the collation on every backend; a nil function is one that cannot be proved.
func (c *collations) prove(ctx context.Context, name string) (func(a, b []byte) int, error) {
	var first collationFacts
	for i, t := range c.db.targets {
		if !c.db.present(i) {
			continue
		}
		facts, err := c.ask(ctx, t.Name, name)
		if err != nil {
			return nil, err
		}
		if first == (collationFacts{}) {
			first = facts
		} else if facts != first {
			c.db.srv.log.Warn("collations_differ", "database", c.db.name, "collation", name, "backend", c.db.targets[i].Name)
			return nil, nil
		}
	}
	return executor.ProveCollation(first.Provider, first.Locale, first.Version, first.Deterministic), nil
}

type collationFacts struct {
	Provider, Locale, Version string
	Deterministic             bool
}

func (c *collations) ask(ctx context.Context, backend, name string) (f collationFacts, err error) {
	err = c.db.srv.control.read(ctx, backend, c.db.name, func(conn *pgx.Conn) error {
		if name == "default" {
			return conn.QueryRow(ctx, `SELECT d.datlocprovider::text, d.datcollate,
				coalesce((SELECT pg_catalog.pg_collation_actual_version(c.oid) FROM pg_catalog.pg_collation c
				          WHERE c.collprovider = 'c' AND c.collcollate = d.datcollate LIMIT 1), ''), true
				FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`).
				Scan(&f.Provider, &f.Locale, &f.Version, &f.Deterministic)
		}
		return conn.QueryRow(ctx, `SELECT c.collprovider::text, coalesce(c.collcollate, ''),
			coalesce(pg_catalog.pg_collation_actual_version(c.oid), ''), c.collisdeterministic
			FROM pg_catalog.pg_collation c WHERE c.oid = pg_catalog.to_regcollation($1)::oid`, quoteCollation(name)).
			Scan(&f.Provider, &f.Locale, &f.Version, &f.Deterministic)
	})
	return f, err
}

// quoteCollation makes a collation's name fit for to_regcollation: it may come quoted or qualified already.
func quoteCollation(name string) string {
	if strings.ContainsAny(name, `".`) {
		return name
	}
	return quoteIdent(name)
}
