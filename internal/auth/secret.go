package auth

import (
	"fmt"
	"log/slog"
)

// masked is what every secret of this package prints and logs as.
const masked = "***"

// Secret is a password or a stored verifier. Formatted or logged it shows nothing; string(s) is the value.
type Secret string

// Format covers every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps the value out of encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Keys are what a SCRAM client needs to log in as a role: as good as the password towards every server with this
// verifier. They live in memory only, for as long as the session.
type Keys struct {
	ClientKey, ServerKey []byte // 32 bytes each
	// Salt and Iterations are the verifier's, to tell a server that has another one.
	Salt       []byte
	Iterations int
}

// Format covers every verb.
func (Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue implements slog.LogValuer.
func (Keys) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps the value out of encoders.
func (Keys) MarshalText() ([]byte, error) { return []byte(masked), nil }
