package pgdump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// archive is a file of pg_dump's with the definitions of a database, in the order in which they can be made.
type archive struct {
	dir, file string
	program   string // pg_dump; pg_restore is beside it
	major     int    // the servers'
	env       []string
}

// takeArchive runs pg_dump. Its definitions are those of its own snapshot: whether that is the right one the caller has
// to find out.
func takeArchive(ctx context.Context, program string, major int, env, options []string) (*archive, error) {
	dir, err := os.MkdirTemp("", "pleiad-dump-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	a := &archive{dir: dir, file: filepath.Join(dir, "definitions"), program: program, major: major, env: env}
	args := []string{"--format=custom", "--file=" + a.file, "--section=pre-data", "--section=post-data", "-B", "--no-subscriptions",
		"--no-tablespaces", "--no-password", "--exclude-schema=pleiad", "--exclude-schema=pleiad_[0-9]+"}
	if _, err := a.run(ctx, program, append(args, options...)...); err != nil {
		return nil, errors.Join(err, a.remove())
	}
	return a, nil
}

func (a *archive) remove() error { return os.RemoveAll(a.dir) }

// run gives a program's output. What it says on standard error is its error, if it fails.
func (a *archive) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(append([]string(nil), a.env...), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

func (a *archive) restore(ctx context.Context, args ...string) ([]byte, error) {
	return a.run(ctx, filepath.Join(filepath.Dir(a.program), "pg_restore"), append(args, a.file)...)
}

// entry is one of an archive's contents. catalog and oid say what it makes; they are "0" where it makes no object.
type entry struct {
	line, catalog, oid string
	table              bool // it is CREATE TABLE, if it is of pg_class
}

// contentsLine is "217; 1259 16460 TABLE public accounts postgres" (pg_backup_archiver.c, PrintTOCSummary). A line break in
// a name is a space there.
var contentsLine = regexp.MustCompile(`^\d+; (\d+) (\d+) (\S+ )?`)

// pgClass is the oid of catalog pg_class.
const pgClass = "1259"

// ownPublication is one of a move that is under way (rebalancer, move.slot).
var ownPublication = regexp.MustCompile(`^\d+; \d+ \d+ PUBLICATION - pleiad_(move|join)_\d+_[0-9a-f]{8} `)

// contents lists a section's entries in their order, but for pleiad's own.
func (a *archive) contents(ctx context.Context, section string) (all []entry, err error) {
	out, err := a.restore(ctx, "--list", "--section="+section)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == ';' || ownPublication.MatchString(line) {
			continue
		}
		m := contentsLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("pg_restore --list: %q is no entry", line)
		}
		all = append(all, entry{line: line, catalog: m[1], oid: m[2], table: m[1] == pgClass && m[3] == "TABLE "})
	}
	return all, nil
}

// sql is the SQL that makes these entries' objects: with the settings for it ahead when first is true. key is what psql's
// \restrict has to be given for it; "" where this pg_restore does not know that yet.
func (a *archive) sql(ctx context.Context, entries []entry, first bool) (text, key string, err error) {
	var list strings.Builder
	for _, e := range entries {
		list.WriteString(e.line + "\n")
	}
	name := filepath.Join(a.dir, "list")
	if err := os.WriteFile(name, []byte(list.String()), 0o600); err != nil {
		return "", "", err
	}
	out, err := a.restore(ctx, "--use-list="+name, "--file=-")
	if err != nil {
		return "", "", err
	}
	return body(string(out), first, a.major)
}

// Where pg_restore's settings end (pg_backup_archiver.c, _doSetFixedOutputState), and where its script does.
const (
	settingsEnd = "\nSET row_security = off;\n"
	scriptEnd   = "--\n-- PostgreSQL database dump complete\n--\n"
)

var restrict = regexp.MustCompile(`^\\restrict ([0-9A-Za-z]+)\n`)

// body takes what begins and ends each script of pg_restore's from one, but for its settings when first is true, and of
// these what servers of this major version have.
func body(script string, first bool, major int) (text, key string, err error) {
	head, rest, ok := strings.Cut(script, settingsEnd)
	if end := strings.LastIndex(rest, scriptEnd); ok && end >= 0 {
		rest = rest[:end]
	} else {
		return "", "", errors.New("pg_restore's script has another form than expected")
	}
	var settings strings.Builder
	for line := range strings.Lines(head + settingsEnd) {
		if m := restrict.FindStringSubmatch(line); m != nil {
			key = m[1]
		}
		if strings.HasPrefix(line, "SET transaction_timeout ") && major < 17 {
			continue
		}
		if strings.HasPrefix(line, "SET ") || strings.HasPrefix(line, "SELECT ") {
			settings.WriteString(line)
		}
	}
	if first {
		return settings.String() + rest, key, nil
	}
	return rest, key, nil
}
