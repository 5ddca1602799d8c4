package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a password. However it is printed or logged it shows only "***".
type Secret string

// Reveal is the password itself. Keep it out of errors and logs.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return "***" }
func (Secret) GoString() string             { return "***" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("***") }
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Format covers every verb, %x and %d too.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// ErrNoPassword is returned by Password when the source is empty: no
// password is configured, which is not the same as an empty one.
var ErrNoPassword = errors.New("no password configured")

// Password reads the password anew, so that a changed file needs no reload.
// One line ending at the end of the file does not belong to the password.
func (p PasswordSource) Password() (Secret, error) {
	switch {
	case p.PasswordFile != "":
		b, err := os.ReadFile(p.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("read password file: %w", err)
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		if text == "" {
			return "", fmt.Errorf("read password file %s: it is empty", p.PasswordFile)
		}
		if strings.ContainsAny(text, "\x00\n") {
			return "", fmt.Errorf("read password file %s: it holds more than one line", p.PasswordFile)
		}
		return Secret(text), nil
	case p.PasswordEnv != "":
		text, ok := os.LookupEnv(p.PasswordEnv)
		if !ok || text == "" {
			return "", fmt.Errorf("read password: environment variable %s is not set", p.PasswordEnv)
		}
		return Secret(text), nil
	default:
		return "", ErrNoPassword
	}
}

// Configured says if there is a source at all.
func (p PasswordSource) Configured() bool { return p.PasswordFile != "" || p.PasswordEnv != "" }
