package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

const (
	verifierPrefix = "SCRAM-SHA-256$"
	// DefaultIterations is PostgreSQL's scram_iterations.
	DefaultIterations = 4096
	// DefaultSaltLength is SCRAM_DEFAULT_SALT_LEN of scram-common.h.
	DefaultSaltLength = 16
)

// Verifier is a parsed rolpassword of the SCRAM kind.
type Verifier struct {
	Salt                 []byte
	Iterations           int
	StoredKey, ServerKey []byte // 32 bytes each
}

// Format covers every verb.
func (Verifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue implements slog.LogValuer.
func (Verifier) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText keeps the value out of encoders.
func (Verifier) MarshalText() ([]byte, error) { return []byte(masked), nil }

// ErrNotScram is returned for stored passwords of another kind, such as md5.
var ErrNotScram = errors.New("stored password is not a SCRAM-SHA-256 verifier")

// ParseVerifier reads SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func ParseVerifier(stored string) (Verifier, error) {
	rest, ok := strings.CutPrefix(stored, verifierPrefix)
	if !ok {
		return Verifier{}, ErrNotScram
	}
	head, keys, ok := strings.Cut(rest, "$")
	iterations, salt, ok2 := strings.Cut(head, ":")
	storedKey, serverKey, ok3 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 {
		return Verifier{}, errors.New("parse SCRAM verifier: a part is missing")
	}
	var v Verifier
	var err error
	if v.Iterations, err = strconv.Atoi(iterations); err != nil || v.Iterations < 1 {
		return Verifier{}, errors.New("parse SCRAM verifier: bad iteration count")
	}
	if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil {
		return Verifier{}, errors.New("parse SCRAM verifier: bad salt")
	}
	if v.StoredKey, err = decodeKey(storedKey); err != nil {
		return Verifier{}, errors.New("parse SCRAM verifier: bad StoredKey")
	}
	if v.ServerKey, err = decodeKey(serverKey); err != nil {
		return Verifier{}, errors.New("parse SCRAM verifier: bad ServerKey")
	}
	return v, nil
}

func decodeKey(s string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(s)
	if err == nil && len(key) != sha256.Size {
		err = errors.New("wrong length")
	}
	return key, err
}

// ScramVerifier is what PostgreSQL stores for a password with this salt and iteration count, which is at least 1.
func ScramVerifier(password string, salt []byte, iterations int) string {
	k := deriveKeys(password, salt, iterations)
	b64 := base64.StdEncoding.EncodeToString
	stored := sha256.Sum256(k.ClientKey)
	return verifierPrefix + strconv.Itoa(iterations) + ":" + b64(salt) + "$" + b64(stored[:]) + ":" + b64(k.ServerKey)
}

// NewScramVerifier is ScramVerifier with a fresh salt and PostgreSQL's default iteration count.
func NewScramVerifier(password string) (string, error) {
	salt := make([]byte, DefaultSaltLength)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}
	return ScramVerifier(password, salt, DefaultIterations), nil
}

// deriveKeys costs about 0.2 µs for each iteration and cannot be interrupted.
func deriveKeys(password string, salt []byte, iterations int) Keys {
	salted, err := pbkdf2.Key(sha256.New, saslprep(password), salt, iterations, sha256.Size)
	if err != nil {
		// Only a FIPS-only build refuses, and it cannot speak SCRAM with short salts at all.
		panic("derive SCRAM keys: " + err.Error())
	}
	return Keys{
		ClientKey: hmacSHA256(salted, "Client Key"), ServerKey: hmacSHA256(salted, "Server Key"),
		Salt: bytes.Clone(salt), Iterations: iterations,
	}
}

// check derives the keys of a clear-text password and compares them in constant time.
func (v Verifier) check(password string) (Keys, bool) {
	k := deriveKeys(password, v.Salt, v.Iterations)
	stored := sha256.Sum256(k.ClientKey)
	ok := subtle.ConstantTimeCompare(stored[:], v.StoredKey) & subtle.ConstantTimeCompare(k.ServerKey, v.ServerKey)
	return k, ok == 1
}

// clientKey recovers the key from a right proof.
func (v Verifier) clientKey(proof []byte, authMessage string) ([]byte, error) {
	signature := hmacSHA256(v.StoredKey, authMessage)
	if len(proof) != len(signature) {
		return nil, errors.New("recover client key: proof has a wrong length")
	}
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, signature)
	if stored := sha256.Sum256(key); subtle.ConstantTimeCompare(stored[:], v.StoredKey) != 1 {
		return nil, errors.New("recover client key: proof is wrong")
	}
	return key, nil
}

func hmacSHA256(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
