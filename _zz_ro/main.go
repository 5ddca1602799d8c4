package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/pleiad/pleiad/internal/catalog"
	"github.com/pleiad/pleiad/router"
)

type q struct{ c *pgx.Conn }

func (q q) QueryText(ctx context.Context, sql string) ([]byte, error) {
	var t string
	err := q.c.QueryRow(ctx, sql).Scan(&t)
	return []byte(t), err
}

func main() {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		panic(err)
	}
	s, err := catalog.LoadSnapshot(ctx, q{c})
	if err != nil {
		panic(err)
	}
	env := router.Env{Schema: s, User: os.Args[2], Path: []string{"pg_catalog", "public"}}
	for _, t := range os.Args[3:] {
		p := router.Plan(t, env)
		fmt.Println(p.ReadOnly, p.Writes, p.Kind, p.Effect, t, p.Refusal)
	}
}
