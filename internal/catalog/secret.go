package catalog

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MockSecret names the secret that the salts of roles which do not exist are made from.
const MockSecret = "mock_secret"

// secretBytes is the length of a new secret.
const secretBytes = 32

// Secret returns the cluster's secret of this name, making it if it is not there yet: every proxy gets the same. conn is
// to the maintenance database on home, as the service role.
func Secret(ctx context.Context, conn *pgx.Conn, name string) ([]byte, error) {
	made := make([]byte, secretBytes)
	if _, err := rand.Read(made); err != nil {
		return nil, fmt.Errorf("make secret %s: %w", name, err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO pleiad.secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, made); err != nil {
		return nil, fmt.Errorf("write secret %s: %w", name, err)
	}
	var kept []byte
	if err := conn.QueryRow(ctx, "SELECT value FROM pleiad.secret WHERE name = $1", name).Scan(&kept); err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return kept, nil
}
