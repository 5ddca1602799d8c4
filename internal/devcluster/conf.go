package devcluster

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// confFile is included by postgresql.conf and written anew at each start, because ports and the
// socket directory may change between runs. What ALTER SYSTEM sets still wins.
const confFile = "pleiad.conf"

// writeConf writes the server's configuration and pg_hba.conf. primary is nil for a primary.
func (c *Cluster) writeConf(s, primary *Server) error {
	// Whom to follow was set by ALTER SYSTEM where a failover changed it; ports and directories may be others now.
	if err := dropFollowing(filepath.Join(s.DataDir, "postgresql.auto.conf")); err != nil {
		return fmt.Errorf("write configuration of %s: %w", s.Name, err)
	}
	settings := map[string]string{
		"cluster_name":                      s.Name,
		"listen_addresses":                  s.Host,
		"port":                              strconv.Itoa(s.Port),
		"unix_socket_directories":           quoteListItem(s.SocketDir),
		"unix_socket_permissions":           "0700",
		"wal_level":                         "logical",
		"max_connections":                   "300",
		"max_prepared_transactions":         "200",
		"max_wal_senders":                   "32",
		"max_replication_slots":             "64",
		"max_worker_processes":              "32",
		"max_logical_replication_workers":   "16",
		"max_sync_workers_per_subscription": "4",
		"max_locks_per_transaction":         "128",
		"hot_standby":                       "on",
		"hot_standby_feedback":              "on",
		"wal_keep_size":                     "64MB",
		"wal_retrieve_retry_interval":       "200ms",
		"wal_receiver_status_interval":      "1s",
		"shared_buffers":                    "64MB",
		"max_wal_size":                      "512MB",
		"password_encryption":               "scram-sha-256",
		"logging_collector":                 "off",
		"log_destination":                   "stderr",
		"log_line_prefix":                   "%m [%p] %q%u@%d ",
		"log_checkpoints":                   "off",
		"restart_after_crash":               "on",
	}
	if c.opts.Fast {
		settings["fsync"] = "off"
		settings["shared_buffers"] = "16MB"
	}
	if primary != nil {
		settings["primary_conninfo"] = fmt.Sprintf("host=%s port=%d user=%s application_name=%s",
			quoteConninfo(primary.SocketDir), primary.Port, superuser, quoteConninfo(s.Name))
		settings["primary_slot_name"] = s.slotName()
	}
	maps.Copy(settings, c.opts.ExtraConf)

	var b strings.Builder
	b.WriteString("# Written at each start; use ALTER SYSTEM or postgresql.auto.conf for changes that shall stay.\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	if err := c.writeServerFile(s, confFile, b.String()); err != nil {
		return err
	}
	return c.writeServerFile(s, "pg_hba.conf", c.hba())
}

// hba lets in whoever reaches the socket directory, which only the servers' user and root can, and
// asks a password of everybody else on this machine.
func (c *Cluster) hba() string {
	lines := append([]string{"# Written at each start."}, c.opts.HBA...)
	lines = append(lines,
		"local all         all trust",
		"local replication all trust",
		"host  all         all 127.0.0.1/32 scram-sha-256",
		"host  replication all 127.0.0.1/32 scram-sha-256")
	return strings.Join(lines, "\n") + "\n"
}

// writeServerFile replaces a file of the data directory as the servers' user would.
func (c *Cluster) writeServerFile(s *Server, name, content string) error {
	path := filepath.Join(s.DataDir, name)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write configuration of %s: %w", s.Name, err)
	}
	if c.acct.drop {
		if err := os.Chown(tmp, int(c.acct.uid), int(c.acct.gid)); err != nil {
			return fmt.Errorf("write configuration of %s: %w", s.Name, err)
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write configuration of %s: %w", s.Name, err)
	}
	return nil
}

// quoteConninfo quotes a value of a libpq connection string.
func quoteConninfo(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// quoteListItem quotes one element of a parameter that is a list of identifiers.
func quoteListItem(v string) string { return `"` + strings.ReplaceAll(v, `"`, `""`) + `"` }
