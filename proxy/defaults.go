package proxy

import (
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// defaults are settings that a role has in a database without having asked: by ALTER ROLE, ALTER DATABASE, or the
// servers' configuration.
type defaults struct {
	isolation string            // default_transaction_isolation
	own       map[string]string // pleiad.* settings, as they were written
}

// defaultsSQL reads them on the role's own connection, whatever this session has set. The order is that of
// process_settings (postinit.c).
const defaultsSQL = `SELECT 'default_transaction_isolation', reset_val FROM pg_catalog.pg_settings
	WHERE name = 'default_transaction_isolation'
	UNION ALL (
		SELECT DISTINCT ON (1) pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
		FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
		WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
			AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
			AND pg_catalog.starts_with(c, 'pleiad.')
		ORDER BY 1, s.setrole <> 0 DESC, s.setdatabase <> 0 DESC)`

// takeDefaults gives the session its role's defaults; m is its connection to home. They are read once for each role, and
// again after a change of the schema or of anybody's settings.
func (s *Session) takeDefaults(m *executor.Member) error {
	d, known := s.db.defaultsOf(s.user)
	if !known {
		rows, errFrame, err := m.Ask(defaultsSQL)
		if err != nil {
			return err
		}
		if errFrame != nil {
			return &executor.FrameError{Frame: errFrame}
		}
		d.own = map[string]string{}
		for _, row := range rows {
			if name := string(row[0]); isOwn(name) {
				d.own[name] = string(row[1])
			} else {
				d.isolation = strings.ToLower(string(row[1]))
			}
		}
		s.db.rememberDefaults(s.user, d)
	}
	s.defaultIsolation = d.isolation
	for name, value := range d.own {
		if _, given := s.settings.startup[name]; given {
			continue
		}
		v, bad := checkOwn(name, value)
		if bad != nil {
			s.warn(bad.Code, bad.Message)
			continue
		}
		if s.settings.startup == nil {
			s.settings.startup = map[string]string{}
		}
		s.settings.startup[name] = v
	}
	s.settings.current = copyMap(s.settings.startup)
	return nil
}

// checkOwn reads a value of a pleiad.* setting.
func checkOwn(name, value string) (string, *pgerr.Error) {
	o, ok := ownSettings[name]
	if !ok {
		return "", pgerr.New(pgerr.UndefinedObject, "unrecognized configuration parameter %q", name)
	}
	return o.check(value)
}

func (db *Database) defaultsOf(role string) (defaults, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	d, ok := db.defaults[role]
	return d, ok
}

func (db *Database) rememberDefaults(role string, d defaults) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.defaults == nil || len(db.defaults) >= rememberedPaths {
		db.defaults = map[string]defaults{}
	}
	db.defaults[role] = d
}
