// Package pgdump runs PostgreSQL's pg_dump, and writes a dump of a whole database of pleiad by its help.
package pgdump

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

// ErrNone is that there is no pg_dump for the servers.
var ErrNone = errors.New("pg_dump is not installed here")

// Program finds this machine's pg_dump for servers of a major version.
func Program(ctx context.Context, major int) (string, error) {
	return pick(installed(ctx), major)
}

// program is one pg_dump of this machine.
type program struct {
	path  string
	major int
}

// pick takes the one of the servers' version, or the one that is least newer: an older one refuses them.
func pick(all []program, major int) (string, error) {
	var best, newest program
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
		return "", ErrNone
	}
	return "", fmt.Errorf("%w: %s is of PostgreSQL %d, and the servers are of %d", ErrNone, newest.path, newest.major, major)
}

// installed looks where PLEIAD_PG_BIN says, where Debian's packages put it, and in PATH.
func installed(ctx context.Context) (all []program) {
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
		if m := versionLine.FindSubmatch(out); m != nil {
			major, _ := strconv.Atoi(string(m[1])) // digits
			all = append(all, program{p, major})
		}
	}
	return all
}

// versionLine finds the major version in "pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)".
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)
