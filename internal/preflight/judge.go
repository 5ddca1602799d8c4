package preflight

import (
	"fmt"

	"github.com/pleiad/pleiad/internal/config"
)

// judge turns facts into findings; it asks nobody anything.
func judge(c *config.Config, found []facts) Report {
	j := judgement{config: c, found: found, servers: make([]Server, len(found))}
	for i := range found {
		f := &found[i]
		_, address := f.server.Address()
		name := "primary"
		if f.replica {
			name = "replica"
		}
		j.servers[i] = Server{Name: f.server.Name, Backend: f.backend, Address: address, Role: name, Version: f.version}
		j.one(i, f)
	}
	j.versions()
	j.identities()
	j.databases()
	j.roles()
	return Report{Servers: j.servers}
}

// judgement is under way; servers[i] belongs to found[i].
type judgement struct {
	config  *config.Config
	found   []facts
	servers []Server
}

func (j *judgement) add(i int, severity Severity, check, problem, fix string) {
	s := &j.servers[i]
	s.Findings = append(s.Findings, Finding{severity, check, problem, fix})
}

// known says if found[i] holds everything that was asked for.
func (j *judgement) known(i int) bool {
	return j.found[i].err == nil && j.found[i].versionNum >= oldest
}

// reference is the first primary that answered, home if it did: the one the
// others are compared with. -1 when none did.
func (j *judgement) reference() int {
	first := -1
	for i := range j.found {
		if j.found[i].replica || !j.known(i) {
			continue
		}
		if j.found[i].backend == j.config.Home {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// one judges a server by itself.
func (j *judgement) one(i int, f *facts) {
	switch {
	case f.err != nil:
		problem, fix := explain(f)
		j.add(i, Error, "connection", problem, fix)
		return
	case f.versionNum < oldest:
		j.add(i, Error, "version", fmt.Sprintf("PostgreSQL %s; 15 or newer is needed", f.version), "upgrade the server with pg_upgrade")
		return
	}
	if !f.superuser {
		user := f.credentials.User
		j.add(i, Error, "superuser", fmt.Sprintf("role %s is not a superuser", user),
			fmt.Sprintf("ALTER ROLE %s SUPERUSER;", identifier(user)))
	}
	j.recovery(i, f)
	j.settings(i, f)
	j.clock(i, f)
	j.leftovers(i, f)
}

func (j *judgement) recovery(i int, f *facts) {
	switch {
	case !f.replica && f.inRecovery:
		j.add(i, Error, "recovery", "this server is a standby; the configuration has it as the primary",
			"SELECT pg_promote();  -- or make the present primary the `primary` of "+f.backend)
	case f.replica && !f.inRecovery:
		j.add(i, Error, "recovery", "this server is not a standby; the configuration has it as a replica",
			"make it one anew: pg_basebackup -R from the primary of "+f.backend)
	case f.replica && f.walReceiver != "streaming":
		state := "no WAL receiver runs"
		if f.walReceiver != "" {
			state = "its WAL receiver is " + f.walReceiver
		}
		j.add(i, Error, "streaming", state+"; it does not follow its primary",
			"set primary_conninfo (and primary_slot_name) to the primary of "+f.backend+"; the server's log says why it fails")
	}
}

func (j *judgement) versions() {
	ref := j.reference()
	if ref < 0 {
		return
	}
	want := j.found[ref].versionNum / 10000
	for i := range j.found {
		if j.known(i) && j.found[i].versionNum/10000 != want {
			j.add(i, Error, "version", fmt.Sprintf("PostgreSQL %s; %s has %s and all must have the same major version",
				j.found[i].version, j.servers[ref].Name, j.found[ref].version), "upgrade the older one with pg_upgrade")
		}
	}
}

// identities: a replica has its primary's data, two primaries have their own.
func (j *judgement) identities() {
	primaries := map[string]int{} // by backend
	for i := range j.found {
		f := &j.found[i]
		if !j.known(i) {
			continue
		}
		if f.replica {
			p, ok := primaries[f.backend]
			if ok && j.found[p].systemID != f.systemID {
				j.add(i, Error, "system_identifier", fmt.Sprintf("%s; %s has %s: this is a standby of another server",
					f.systemID, j.servers[p].Name, j.found[p].systemID), "make it anew: pg_basebackup -R from the primary of "+f.backend)
			}
			continue
		}
		for k := range i {
			other := &j.found[k]
			if other.replica || !j.known(k) || other.systemID != f.systemID {
				continue
			}
			if other.started.Equal(f.started) {
				j.add(i, Error, "system_identifier", "this is the same server as "+j.servers[k].Name, "give each backend a server of its own")
			} else {
				j.add(i, Warning, "system_identifier", "its data was copied from the same server as that of "+j.servers[k].Name,
					"make it with initdb if it was not meant to be a copy")
			}
			break
		}
		primaries[f.backend] = i
	}
}
