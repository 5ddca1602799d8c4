package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestComplain(t *testing.T) {
	pg := &pgconn.PgError{Severity: "ERROR", Code: "42P08", Message: "there are several", Hint: "Say which one."}
	for err, want := range map[error]string{
		fmt.Errorf("no proxy"): "pleiad: no proxy\n",
		fmt.Errorf("move: %w", pg): "pleiad: move: ERROR: there are several (SQLSTATE 42P08)\n" +
			"HINT: Say which one.\n",
	} {
		var out strings.Builder
		if complain(&out, err); out.String() != want {
			t.Errorf("%v: %q", err, out.String())
		}
	}
}
