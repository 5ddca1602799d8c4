// Package devcluster makes local PostgreSQL servers and runs them as child processes: several
// primaries, each with streaming standbys, on Unix sockets and free loopback ports. `pleiad dev`
// serves from such a cluster and the integration tests break one.
package devcluster

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// superuser is the bootstrap superuser of every server.
const superuser = "postgres"

// oldestMajor is the oldest PostgreSQL that pleiad works on.
const oldestMajor = 15

// Options says what cluster to make or to start again.
type Options struct {
	// Dir holds everything that outlives a run: data, logs, ports. Empty: a private temporary
	// directory that Stop removes.
	Dir string
	// Backends is the number of primaries (at least 1), Replicas the standbys of each.
	Backends, Replicas int
	// PGBin is the directory of initdb, postgres and pg_basebackup. Empty: $PLEIAD_PG_BIN, else
	// the newest of /usr/lib/postgresql/*/bin that can read the data, else PATH.
	PGBin string
	// Reset stops what still runs in Dir and removes all data before anything is made.
	Reset bool
	// Fast gives up durability against a crash of the machine (fsync = off). Data still survives
	// kill -9 of every server process.
	Fast bool
	// ExtraConf is put last in each server's configuration: name → value, quoted here.
	ExtraConf map[string]string
	// HBA lines are put before the cluster's own in pg_hba.conf; the first match wins.
	HBA []string
	// Locale of the databases; empty: C.UTF-8. It counts when a server is made.
	Locale string
	// StopTimeout bounds a fast shutdown before an immediate one follows; zero: 10 s.
	StopTimeout time.Duration
	// FallbackDir is where data goes if this process is root and the servers' unprivileged user
	// cannot reach Dir; empty: /var/lib/pleiad.
	FallbackDir string
	// Log may be nil.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.Backends < 1 || o.Backends > 64 {
		errs = append(errs, fmt.Errorf("backends: %d is not within 1..64", o.Backends))
	}
	if o.Replicas < 0 || o.Replicas > 8 {
		errs = append(errs, fmt.Errorf("replicas: %d is not within 0..8", o.Replicas))
	}
	for name := range o.ExtraConf {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") != "" {
			errs = append(errs, fmt.Errorf("extra configuration: %q is not a parameter name", name))
		}
	}
	if o.Locale == "" {
		o.Locale = "C.UTF-8"
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 10 * time.Second
	}
	if o.FallbackDir == "" {
		o.FallbackDir = "/var/lib/pleiad"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(errs...)
}
