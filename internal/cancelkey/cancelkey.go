// Package cancelkey keeps the keys by which a client may cancel what its session runs.
package cancelkey

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
)

// Key is what BackendKeyData tells the client. It belongs to one session.
type Key struct {
	// PID is positive and unique among the living keys of a registry. It is random, so that it tells nothing
	// about other sessions.
	PID    int32
	Secret []byte
}

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value { return slog.Int64Value(int64(k.PID)) }

// Format keeps the secret out of formatted text, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "{pid %d}", k.PID) }

// MaxSecret is the longest secret that the protocol carries.
const MaxSecret = 256

// Registry maps keys to sessions. Safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	living map[int32]*entry
}

type entry struct {
	secret []byte
	cancel func()

	// mu is held while cancel runs, so that nothing is cancelled once Remove has returned.
	mu   sync.Mutex
	dead bool
}

// New makes an empty registry.
func New() *Registry { return &Registry{living: make(map[int32]*entry)} }

// Register makes a key with a secret of so many bytes (4 for protocol 3.0, 32 for 3.2). Cancel is called, one
// call at a time, for each right request; it must neither block nor call Remove.
func (r *Registry) Register(secretLength int, cancel func()) (Key, error) {
	if secretLength < 4 || secretLength > MaxSecret {
		return Key{}, fmt.Errorf("make cancel key: a secret of %d bytes is not allowed", secretLength)
	}
	secret := make([]byte, secretLength)
	if _, err := rand.Read(secret); err != nil {
		return Key{}, fmt.Errorf("make cancel key: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid, err := randomPID()
		if err != nil {
			return Key{}, fmt.Errorf("make cancel key: %w", err)
		}
		if _, taken := r.living[pid]; taken || pid == 0 {
			continue
		}
		r.living[pid] = &entry{secret: secret, cancel: cancel}
		return Key{PID: pid, Secret: append([]byte(nil), secret...)}, nil
	}
}

func randomPID() (int32, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b[:]) >> 1), nil
}

// Remove forgets a key. Its cancel function does not run any more once Remove has returned.
func (r *Registry) Remove(pid int32) {
	r.mu.Lock()
	e := r.living[pid]
	delete(r.living, pid)
	r.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = true
}

// Cancel calls the function registered under this key and says if there was one. The client is never told.
func (r *Registry) Cancel(pid int32, secret []byte) bool {
	r.mu.RLock()
	e := r.living[pid]
	r.mu.RUnlock()
	if e == nil || subtle.ConstantTimeCompare(e.secret, secret) != 1 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead {
		return false
	}
	e.cancel()
	return true
}

// Len is the number of living keys.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.living)
}
