package rebalancer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

var errNoDump = errors.New("pg_dump is not installed where the proxy runs; it copies the schema to the new backend")

// dumpProgram finds the pg_dump for a backend's servers, and their major version.
func dumpProgram(ctx context.Context, c Cluster, backend, database string) (program string, major int, err error) {
	conn, err := connect(ctx, c, backend, database)
	if err != nil {
		return "", 0, err
	}
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&major)
	closing(conn)
	if err != nil {
		return "", 0, fmt.Errorf("read the version of %q: %w", backend, err)
	}
	program, err = pickDump(installedDumps(ctx), major)
	return program, major, err
}

// dump is one pg_dump of this machine.
type dump struct {
	path  string
	major int
}

// pickDump takes the one of the servers' version, or the one that is least newer: an older one refuses them.
func pickDump(all []dump, major int) (string, error) {
	var best, newest dump
	for _, d := range all {
		if d.major >= major && (best.path == "" || d.major < best.major) {
			best = d
		}
		if d.major > newest.major {
			newest = d
		}
	}
	switch {
	case best.path != "":
		return best.path, nil
	case newest.path == "":
		return "", errNoDump
	}
	return "", fmt.Errorf("%w: %s is of PostgreSQL %d, and the servers are of %d", errNoDump, newest.path, newest.major, major)
}

// installedDumps looks where PLEIAD_PG_BIN says, where Debian's packages put it, and in PATH.
func installedDumps(ctx context.Context) (all []dump) {
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump") // the pattern is right
	if dir := os.Getenv("PLEIAD_PG_BIN"); dir != "" {
		paths = append([]string{filepath.Join(dir, "pg_dump")}, paths...)
	}
	if p, err := exec.LookPath("pg_dump"); err == nil {
		paths = append(paths, p)
	}
	for _, p := range paths {
		out, err := exec.CommandContext(ctx, p, "--version").Output()
		if err != nil {
			continue
		}
		if m := dumpVersion.FindSubmatch(out); m != nil {
			major, _ := strconv.Atoi(string(m[1])) // digits
			all = append(all, dump{p, major})
		}
	}
	return all
}

// dumpVersion finds the major version in "pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)".
var dumpVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)
