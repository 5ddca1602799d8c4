package catalog

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/xdg-go/stringprep"
)

// What PostgreSQL itself uses (scram-common.h).
const (
	ScramSaltLen    = 16
	ScramIterations = 4096
)

// ScramVerifier makes the SCRAM-SHA-256 verifier that PostgreSQL would store for password with this salt, in the
// spelling of pg_authid.rolpassword. The server takes it in place of a password and stores it as it is, so
// that one verifier serves every backend.
func ScramVerifier(password string, salt []byte, iterations int) (string, error) {
	// Like pg_saslprep: what SASLprep refuses is used as it came.
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil || prepared == "" {
		prepared = password
	}
	salted, err := pbkdf2.Key(sha256.New, prepared, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("make verifier: %w", err)
	}
	clientKey := hmacSHA256(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	serverKey := hmacSHA256(salted, "Server Key")
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(serverKey)), nil
}

// NewScramVerifier is ScramVerifier with a fresh salt and PostgreSQL's own number of iterations.
func NewScramVerifier(password string) (string, error) {
	salt := make([]byte, ScramSaltLen)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}
	return ScramVerifier(password, salt, ScramIterations)
}

// IsVerifier is true of texts that PostgreSQL stores as they are instead of hashing them.
func IsVerifier(password string) bool {
	if len(password) == 35 && strings.HasPrefix(password, "md5") {
		return strings.Trim(password[3:], "0123456789abcdef") == ""
	}
	rest, ok := strings.CutPrefix(password, "SCRAM-SHA-256$")
	return ok && strings.Count(rest, ":") == 2 && strings.Count(rest, "$") == 1
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
