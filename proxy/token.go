package proxy

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/lsn"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// sessionToken is the setting that tells what the session has seen of each backend. It can be given to another session,
// which then reads nothing older.
const sessionToken = "pleiad.session_token"

func checkToken(v string) (string, *pgerr.Error) {
	token, err := lsn.ParseToken(v)
	if err != nil {
		return "", pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter %q: %q", sessionToken, v).
			WithHint("Give what SHOW %s has shown in another session.", sessionToken)
	}
	return token.String(), nil
}

// checkStaleness reads milliseconds, or a number with a unit.
func checkStaleness(v string) (string, *pgerr.Error) {
	text := strings.TrimSpace(v)
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n > 0 {
		return strconv.FormatInt(n, 10), nil
	}
	d, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(text, "min", "m"), " ", ""))
	if err != nil || d < time.Millisecond || d > time.Duration(1<<31-1)*time.Millisecond {
		return "", pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter \"pleiad.max_staleness\": %q", v).
			WithHint("Give milliseconds, from 1, or a number with one of the units ms, s, min and h.")
	}
	return strconv.FormatInt(d.Milliseconds(), 10), nil
}

// readSettings are the settings that decide where reads go.
func (s *Session) readSettings() *reads {
	r, cfg := &s.reads, s.srv.config()
	if r.fresh && r.from == cfg {
		return r
	}
	r.level = config.Consistency(s.own("pleiad.consistency"))
	ms, err := strconv.ParseInt(s.own("pleiad.max_staleness"), 10, 64)
	if err != nil {
		ms = 0 // cannot be: it was checked; 0 is the strictest
	}
	r.maxStaleness = time.Duration(ms) * time.Millisecond
	r.sync = s.own("pleiad.replication") == string(config.ReplicationSync)
	r.fresh, r.from = true, cfg
	return r
}

// token is what the session has seen, in positions.
func (s *Session) token() (string, *pgerr.Error) {
	ctx, stop := s.srv.controlContext()
	defer stop()
	s.reads.settle(time.Now())
	out := lsn.Token{}
	for b := range s.reads.nodes {
		n, seen := s.db.nodes[b], &s.reads.nodes[b]
		if n == nil || n.Alone() {
			continue
		}
		s.turned(n, seen)
		wait := readWait{ctx: ctx}
		if !resolveReplica(&wait, n, seen) {
			seen.primaryAt = time.Now() // the primary has what a lost replica had
		}
		if !resolvePrimary(&wait, n, seen) {
			return "", pgerr.New(pgerr.ConnectionFailure, "backend %q does not tell the end of its log", n.Name)
		}
		if seen.seen.Timeline != 0 {
			out[n.Name] = seen.seen
		}
	}
	return out.String(), nil
}

// setToken takes over what another session has seen; "" forgets what this one has.
func (s *Session) setToken(text string) *pgerr.Error {
	token, err := lsn.ParseToken(text)
	if err != nil {
		return pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter %q: %q", sessionToken, text)
	}
	if len(token) == 0 {
		s.reads.nodes = nil
		return nil
	}
	for name, at := range token {
		found := false
		for b, n := range s.db.nodes {
			if n == nil || n.Name != name {
				continue
			}
			found = true
			if n.Alone() {
				continue
			}
			seen := s.seen(b)
			timeline, history := n.Timeline()
			if at.Timeline == timeline && seen.seen.Timeline == timeline {
				at.LSN = max(at.LSN, seen.seen.LSN)
			}
			if holds, known := history.Holds(timeline, at); known && !holds {
				s.warnOf(pgerr.New(pgerr.Warning, "backend %q has lost writes that this token tells of", name).
					WithDetail("A failover gave up its log behind %s.", at))
				continue
			}
			seen.seen = at
			seen.generation = 0 // looked at anew with the next read
		}
		if !found {
			return pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter %q: there is no backend %q", sessionToken, name)
		}
	}
	return nil
}

// roleSettings are the pleiad.* settings that ALTER ROLE and ALTER DATABASE give a role's sessions. PostgreSQL takes
// the role's over the database's.
func (db *Database) roleSettings(ctx context.Context, role string) (map[string]string, error) {
	var list []string
	err := db.srv.control.read(ctx, db.targets[db.home].Name, db.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT c FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
			WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
			AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1))
			AND c LIKE 'pleiad.%' ORDER BY s.setrole <> 0, s.setdatabase <> 0`, role)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read settings of role: %w", err)
	}
	var out map[string]string
	for _, item := range list {
		name, value, _ := strings.Cut(item, "=")
		own, ok := ownSettings[name]
		if !ok || name == sessionToken {
			continue
		}
		// A value that would not do is passed over, as PostgreSQL does with a WARNING.
		if v, bad := own.check(value); bad == nil {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = v
		}
	}
	return out, nil
}
