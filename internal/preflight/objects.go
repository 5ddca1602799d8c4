package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/config"
)

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal supposes standard_conforming_strings, which is checked.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// databases must be the same on every primary; a replica has its primary's,
// but not always its primary's libraries.
func (j *judgement) databases() {
	ref := j.reference()
	if ref < 0 {
		return
	}
	want := j.found[ref].databases
	for i := range j.found {
		if !j.known(i) {
			continue
		}
		f := &j.found[i]
		for _, name := range slices.Sorted(maps.Keys(f.databases)) {
			j.database(i, name, f.databases[name])
			if _, ok := want[name]; !ok && !f.replica {
				j.add(ref, Error, "database", fmt.Sprintf("%s is missing; %s has it", name, j.servers[i].Name), create(name, f.databases[name]))
			}
		}
		if i == ref {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if d, ok := f.databases[name]; ok {
				j.sameLocale(i, ref, name, d, want[name])
			} else if !f.replica {
				j.add(i, Error, "database", fmt.Sprintf("%s is missing; %s has it", name, j.servers[ref].Name), create(name, want[name]))
			}
		}
	}
}

func (j *judgement) database(i int, name string, d database) {
	if d.Encoding != "UTF8" && !j.found[i].replica {
		j.add(i, Error, "encoding", fmt.Sprintf("database %s is %s; UTF8 is needed", name, d.Encoding),
			fmt.Sprintf("dump it, then: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'; and load it (%s)", name))
	}
	if d.Actual != d.Recorded && d.Recorded != "" && !j.found[i].replica {
		j.add(i, Warning, "collation_version", fmt.Sprintf("database %s was made with collation version %s, the server now has %s", name, d.Recorded, d.Actual),
			fmt.Sprintf("in %s: REINDEX DATABASE %s; ALTER DATABASE %s REFRESH COLLATION VERSION;", name, identifier(name), identifier(name)))
	}
}

func (j *judgement) sameLocale(i, ref int, name string, got, want database) {
	other := j.servers[ref].Name
	if a, b := locale(got), locale(want); a != b {
		if !j.found[i].replica {
			j.add(i, Error, "locale", fmt.Sprintf("database %s has %s; on %s it has %s", name, a, other, b),
				"dump it, drop it, then: "+create(name, want)+" and load it")
		}
		return
	}
	if got.Actual != want.Actual {
		j.add(i, Error, "collation_version", fmt.Sprintf("database %s sorts by version %s; on %s by %s, so text would sort differently", name, show(got.Actual), other, show(want.Actual)),
			"install the same C library (or ICU) on both machines, then REINDEX")
	}
}

func show(version string) string {
	if version == "" {
		return "(none)"
	}
	return version
}

func locale(d database) string {
	text := fmt.Sprintf("lc_collate %s, lc_ctype %s", d.Collate, d.CType)
	if d.Provider != "c" {
		text += fmt.Sprintf(", provider %s, locale %s", d.Provider, d.Locale)
	}
	return text
}

func create(name string, d database) string {
	s := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE %s LC_CTYPE %s", identifier(name), literal(d.Collate), literal(d.CType))
	switch d.Provider {
	case "i":
		s += " LOCALE_PROVIDER icu ICU_LOCALE " + literal(d.Locale)
	case "b":
		s += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + literal(d.Locale)
	}
	return s + ";"
}

// roles must exist on every primary with the same verifier: a client proves
// itself once, and that proof opens all backends. A replica has its primary's.
func (j *judgement) roles() {
	ref := j.reference()
	if ref < 0 || j.found[ref].roles == nil {
		return
	}
	want := j.found[ref].roles
	for i := range j.found {
		f := &j.found[i]
		if !j.known(i) || f.replica || f.roles == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(f.roles)) {
			j.oldVerifier(i, name, f.roles[name])
			if _, ok := want[name]; !ok {
				j.add(ref, j.weight(name), "role", fmt.Sprintf("%s is missing; %s has it", name, j.servers[i].Name),
					fmt.Sprintf("take its definition from %s with pg_dumpall --roles-only", j.servers[i].Name))
			}
		}
		if i != ref {
			j.sameRoles(i, ref, want)
		}
	}
}

func (j *judgement) sameRoles(i, ref int, want map[string]role) {
	home := j.servers[ref].Name
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, ok := j.found[i].roles[name]
		switch {
		case !ok:
			j.add(i, j.weight(name), "role", fmt.Sprintf("%s is missing; %s has it", name, home),
				fmt.Sprintf("take its definition from %s with pg_dumpall --roles-only", home))
		case got.login != want[name].login:
			j.add(i, j.weight(name), "role", fmt.Sprintf("%s may log in on one of this server and %s", name, home),
				fmt.Sprintf("ALTER ROLE %s LOGIN;  -- or NOLOGIN, on one of both", identifier(name)))
		case got.login && got.verifier != want[name].verifier:
			j.add(i, j.weight(name), "password", fmt.Sprintf("%s has another password verifier than on %s; a client cannot be let in to both (salts differ even for equal passwords)", name, home),
				fmt.Sprintf("on %s: SELECT rolpassword FROM pg_authid WHERE rolname = %s;\nhere: ALTER ROLE %s PASSWORD '<that value>';", home, literal(name), identifier(name)))
		}
	}
}

// weight: a role may differ between servers whose password is in the
// configuration, the service role's among them; without one, clients just
// cannot log in as the service role then.
func (j *judgement) weight(name string) Severity {
	for _, b := range j.config.Backends {
		if b.Credentials.User == name {
			return Warning
		}
	}
	if j.config.Users[name].Configured() {
		return Warning
	}
	return Error
}

func (j *judgement) oldVerifier(i int, name string, r role) {
	if r.login && j.config.Auth.Method == config.AuthSCRAM && strings.HasPrefix(r.verifier, "md5") {
		j.add(i, Warning, "password", fmt.Sprintf("%s has an MD5 password; auth.method scram-sha-256 cannot let it in", name),
			fmt.Sprintf("SET password_encryption = 'scram-sha-256'; then \\password %s in psql", identifier(name)))
	}
}
