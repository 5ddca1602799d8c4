package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

// ErrNoBinaries says that no PostgreSQL server programs of a usable version were found.
var ErrNoBinaries = errors.New("no PostgreSQL server programs, version 15 or newer, found: " +
	"install the package postgresql, or name their directory with --pg-bin or PLEIAD_PG_BIN")

type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// FindBinaries returns the directory of the server programs that Start would use for a new
// cluster, and their major version. pgBin is Options.PGBin.
func FindBinaries(ctx context.Context, pgBin string) (dir string, major int, err error) {
	b, err := findBinaries(ctx, pgBin, 0)
	return b.dir, b.major, err
}

// findBinaries looks for programs of the major version want; zero: the newest there is.
func findBinaries(ctx context.Context, named string, want int) (binaries, error) {
	if named == "" {
		named = os.Getenv("PLEIAD_PG_BIN")
	}
	if named != "" {
		b, err := inspectBinaries(ctx, named)
		if err != nil {
			return binaries{}, err
		}
		return b, b.usable(want)
	}
	for _, dir := range installedBinaries() {
		b, err := inspectBinaries(ctx, dir)
		if err == nil && b.usable(want) == nil {
			return b, nil
		}
	}
	if want != 0 {
		return binaries{}, fmt.Errorf("the data was made by PostgreSQL %d, whose programs are not here: "+
			"install them, or start over with --reset", want)
	}
	return binaries{}, ErrNoBinaries
}

func (b binaries) usable(want int) error {
	if b.major < oldestMajor {
		return fmt.Errorf("PostgreSQL %d in %s is too old: %w", b.major, b.dir, ErrNoBinaries)
	}
	if want != 0 && b.major != want {
		return fmt.Errorf("the data was made by PostgreSQL %d and %s holds %d: "+
			"name the right programs, or start over with --reset", want, b.dir, b.major)
	}
	return nil
}

// installedBinaries lists candidate directories, newest version first, PATH last.
func installedBinaries() []string {
	versioned, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // not a number sorts last
		return n
	}
	sort.Slice(versioned, func(i, j int) bool { return version(versioned[i]) > version(versioned[j]) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			versioned = append(versioned, filepath.Dir(real))
		}
	}
	return versioned
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func inspectBinaries(ctx context.Context, dir string) (binaries, error) {
	for _, program := range []string{"initdb", "postgres", "pg_basebackup"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return binaries{}, fmt.Errorf("look for PostgreSQL's programs: %w", err)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("ask postgres for its version: %w", err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("read version of %s: %q", dir, out)
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return binaries{}, fmt.Errorf("read version of %s: %w", dir, err)
	}
	return binaries{dir: dir, major: major}, nil
}
