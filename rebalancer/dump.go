package rebalancer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/pgdump"
)

// maintenanceDB is where databases are made from.
const maintenanceDB = "postgres"

// createDatabase makes an empty database like home's on the new backend, after the roles. One of that name that has
// another purpose is left alone.
func (n *joining) createDatabase(ctx context.Context) error {
	var roles []string
	var create string
	err := n.onHome(ctx, func(home *pgx.Conn) error {
		rows, err := home.Query(ctx, rolesSQL)
		if err == nil {
			roles, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return err
		}
		return home.QueryRow(ctx, createSQL).Scan(&create)
	})
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	server, err := connect(ctx, n.cluster, n.target, maintenanceDB)
	if err != nil {
		return err
	}
	defer closing(server)
	for _, sql := range roles {
		if _, err := server.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make roles on %q: %w", n.target, err)
		}
	}
	// One that was being dropped when its server died lets nobody in (dbcommands.c: DATCONNLIMIT_INVALID_DB).
	var exists, broken bool
	err = server.QueryRow(ctx, "SELECT count(*) > 0, coalesce(bool_or(datconnlimit = -2), false) FROM pg_database WHERE datname = $1", n.database).Scan(&exists, &broken)
	if err != nil {
		return err
	}
	if exists {
		keep := ""
		if !broken {
			keep, err = n.inUse(ctx)
		}
		if err != nil {
			return err
		}
		if keep != "" {
			return fmt.Errorf("database %q on %q holds %s that pleiad has not made", n.database, n.target, keep)
		}
		if n.database == maintenanceDB {
			return n.emptyDatabase(ctx)
		}
		if _, err := server.Exec(ctx, "DROP DATABASE "+quoteIdent(n.database)+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	if _, err := server.Exec(ctx, create); err != nil {
		return fmt.Errorf("make database on %q: %w", n.target, err)
	}
	return nil
}

// createSQL gives the statement that makes a database like this one. The locale of ICU or of PostgreSQL itself is in
// daticulocale up to 16 and in datlocale since.
const createSQL = `SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L', datname,
		pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype) || CASE datlocprovider
		WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(o.datlocale, o.daticulocale))
			|| CASE WHEN o.daticurules IS NULL THEN '' ELSE format(' ICU_RULES %L', o.daticurules) END
		WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', o.datlocale) ELSE ' LOCALE_PROVIDER libc' END
	FROM pg_database d CROSS JOIN LATERAL jsonb_to_record(to_jsonb(d)) AS o (datlocale text, daticulocale text, daticurules text)
	WHERE datname = current_database()`

// rolesSQL gives the statements that make home's roles on another server, with their passwords' verifiers, memberships
// and settings. Roles that are there get what home's have, but for the one that asks. Since PostgreSQL 16 a membership has
// more options, and a grantor who must have been granted the role before: level counts the grantors from the superuser on.
const rolesSQL = `WITH RECURSIVE granted AS (
	SELECT roleid, member, grantor, admin_option, 0 AS level FROM pg_auth_members WHERE grantor = 10
	UNION SELECT a.roleid, a.member, a.grantor, a.admin_option, g.level + 1
		FROM pg_auth_members a JOIN granted g ON g.admin_option AND (g.roleid, g.member) = (a.roleid, a.grantor) AND g.level < 100
) SELECT sql FROM (
	SELECT 1 AS pos, 0 AS level, rolname, format('DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %L) THEN CREATE ROLE %I; END IF; END $do$',
		rolname, rolname) AS sql FROM pg_authid WHERE rolname !~ '^pg_'
	UNION ALL SELECT 2, 0, rolname, format('ALTER ROLE %I %s %s %s %s %s %s %s CONNECTION LIMIT %s%s%s', rolname,
		CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END, CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
		CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
		CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END,
		CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END, rolconnlimit,
		CASE WHEN rolpassword IS NULL THEN '' ELSE format(' PASSWORD %L', rolpassword) END,
		CASE WHEN rolvaliduntil IS NULL THEN '' ELSE format(' VALID UNTIL %L', rolvaliduntil) END)
		FROM pg_authid WHERE rolname !~ '^pg_' AND rolname <> current_user AND oid <> 10
	UNION ALL SELECT 3, coalesce(l.level, 0), r.rolname, format('GRANT %I TO %I%s', r.rolname, m.rolname, CASE
			WHEN o.inherit_option IS NOT NULL THEN format(' WITH ADMIN %s, INHERIT %s, SET %s', a.admin_option::text, o.inherit_option::text, o.set_option::text)
				|| CASE WHEN l.level > 0 THEN format(' GRANTED BY %I', pg_get_userbyid(a.grantor)) ELSE '' END
			WHEN a.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END)
		FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
		CROSS JOIN LATERAL jsonb_to_record(to_jsonb(a)) AS o (inherit_option bool, set_option bool)
		LEFT JOIN granted l ON o.inherit_option IS NOT NULL AND (l.roleid, l.member, l.grantor) = (a.roleid, a.member, a.grantor)
		WHERE m.rolname !~ '^pg_'
	UNION ALL SELECT 4, 0, r.rolname, format('ALTER ROLE %I SET %s TO %s', r.rolname, split_part(c, '=', 1),
		CASE WHEN split_part(c, '=', 1) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries')
			THEN substr(c, strpos(c, '=') + 1) ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END)
		FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN LATERAL unnest(s.setconfig) c WHERE s.setdatabase = 0
) x ORDER BY pos, level, rolname`

// databaseSQL is what is set on the database and for roles in it, and who may use it.
const databaseSQL = `SELECT format('ALTER %s SET %s TO %s',
		CASE WHEN s.setrole = 0 THEN format('DATABASE %I', d.datname) ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(s.setrole), d.datname) END,
		split_part(c, '=', 1), CASE WHEN split_part(c, '=', 1) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries')
			THEN substr(c, strpos(c, '=') + 1) ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END)
	FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase CROSS JOIN LATERAL unnest(s.setconfig) c WHERE d.datname = current_database()
	UNION ALL SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname) FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL
	UNION ALL SELECT format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, d.datname,
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
	FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a WHERE d.datname = current_database()`

// inUse says what a database on the new backend holds that is not a former backend's or a broken off join's.
func (n *joining) inUse(ctx context.Context) (what string, err error) {
	err = n.on(ctx, n.target, func(conn *pgx.Conn) error {
		var ours bool
		if err := conn.QueryRow(ctx, "SELECT to_regclass('pleiad.node') IS NOT NULL").Scan(&ours); err != nil {
			return err
		}
		if ours {
			var home bool
			err := conn.QueryRow(ctx, "SELECT home FROM pleiad.node").Scan(&home)
			if err == nil && home {
				what = "the catalog of a cluster"
			}
			return err
		}
		return conn.QueryRow(ctx, `SELECT coalesce((SELECT format('table %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT 1), '')`).Scan(&what)
	})
	n.hangUp() // nothing may be connected to a database that is dropped
	return what, err
}

// emptyDatabase is for the one database that cannot be dropped.
func (n *joining) emptyDatabase(ctx context.Context) error {
	return n.on(ctx, n.target, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `DO $do$ DECLARE s name; BEGIN
			FOR s IN SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' LOOP EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', s); END LOOP;
			FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
				EXECUTE format('DROP SCHEMA %I CASCADE', s);
			END LOOP;
			CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC; END $do$`)
		return err
	})
}

// dumpSchema is the definition of everything in a database but pleiad's own schemas and the given relations, as SQL
// statements: pg_dump's.
func dumpSchema(ctx context.Context, c Cluster, backend, database string, without []string) ([]byte, error) {
	program, major, err := dumpProgram(ctx, c, backend, database)
	if err != nil {
		return nil, err
	}
	dsn, err := c.ConnString(backend, database)
	if err != nil {
		return nil, err
	}
	args := []string{"--schema-only", "--no-publications", "--no-subscriptions", "--no-tablespaces", "--no-password",
		"--exclude-schema=pleiad", "--exclude-schema=pleiad_[0-9]*"}
	for _, t := range without {
		args = append(args, "--exclude-table="+t)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = dumpEnv(dsn)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		// Its exit status does not say whether the server was away.
		conn, lost := connect(ctx, c, backend, database)
		if lost != nil {
			return nil, lost
		}
		closing(conn)
		return nil, fmt.Errorf("pg_dump of %q: %w: %s", backend, err, strings.TrimSpace(errs.String()))
	}
	var own []string
	err = func() error {
		conn, err := connect(ctx, c, backend, database)
		if err != nil {
			return err
		}
		defer closing(conn)
		rows, err := conn.Query(ctx, databaseSQL)
		if err == nil {
			own, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	}()
	if err != nil {
		return nil, err
	}
	text := statements(out.Bytes(), major)
	for _, sql := range own {
		text = append(text, sql+";\n"...)
	}
	return text, nil
}

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
	if program, err = pgdump.Program(ctx, major); err != nil {
		err = fmt.Errorf("copy the schema to the new backend: %w", err)
	}
	return program, major, err
}

// statements are a dump without what only psql understands, without schema public, which is there, and without the setting that
// a newer pg_dump begins with and a server of this major version does not have.
func statements(dump []byte, major int) []byte {
	var out []byte
	header := true // up to the first object
	for line := range bytes.Lines(dump) {
		header = header && !bytes.HasPrefix(line, []byte("-- Name: "))
		if bytes.HasPrefix(line, []byte(`\restrict `)) || bytes.HasPrefix(line, []byte(`\unrestrict `)) ||
			bytes.Equal(bytes.TrimSpace(line), []byte("CREATE SCHEMA public;")) ||
			header && major < 17 && bytes.HasPrefix(line, []byte("SET transaction_timeout ")) {
			continue
		}
		out = append(out, line...)
	}
	return out
}

var dsnPair = regexp.MustCompile(`(\w+)='((?:[^'\\]|\\.)*)'`)

// libpqNames are what pg_dump needs of a connection string; an older libpq refuses keywords that it does not know.
var libpqNames = map[string]string{
	"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
}

// dumpEnv is the connection as environment variables: arguments can be read by everybody on the machine.
func dumpEnv(dsn string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "PGPASSFILE=/dev/null", "PGOPTIONS=-c statement_timeout=0 -c lock_timeout=0"}
	for _, m := range dsnPair.FindAllStringSubmatch(dsn, -1) {
		if name, ok := libpqNames[m[1]]; ok && m[2] != "" {
			env = append(env, name+"="+strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[2]))
		}
	}
	return env
}
