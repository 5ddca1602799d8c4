package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// reloadable says of every key if a running process takes a new value. A list
// or mapping is one key: it is compared and exchanged as a whole. A test
// checks that every key is here.
//
// Settings that are read where they are used can change; what a listener, a
// catalog row or the memory of a component was made from cannot.
var reloadable = map[string]bool{
	"cluster":     false, // part of the names of prepared transactions
	"listen":      false,
	"listen_unix": false,
	"home":        false, // where the catalog is
	"backends":    false,

	"credentials.user":          false,
	"credentials.password_file": false,
	"credentials.password_env":  false,
	"backend_tls.mode":          false,
	"backend_tls.root_cert":     false,
	"backend_tls.cert":          false,
	"backend_tls.key":           false,

	"pool.mode":          true, // for clients that connect later
	"pool.size":          true,
	"pool.min_idle":      true,
	"pool.queue_timeout": true,
	"pool.idle_timeout":  true,
	"pool.max_lifetime":  true,
	"users":              true,
	"databases":          true,

	"auth.method":                          true,
	"auth.login_timeout":                   true,
	"auth.max_unauthenticated":             true,
	"auth.max_unauthenticated_per_address": true,
	"tls.mode":                             true, // for clients that connect later
	"tls.cert":                             true,
	"tls.key":                              true,
	"tls.client_ca":                        true,

	"limits.max_clients":             true,
	"limits.max_message":             true,
	"limits.max_query_bytes":         true,
	"limits.max_prepared_per_client": true,
	"limits.max_prepared_per_server": true,
	"limits.plan_cache_bytes":        false,
	"limits.gather_max_bytes":        true,

	"timeouts.connect":             true,
	"timeouts.client_idle":         true,
	"timeouts.idle_in_transaction": true,
	"timeouts.query":               true,
	"timeouts.tcp_keepalive":       true, // for connections made later
	"timeouts.cancel":              true,
	"timeouts.shutdown":            true,

	"sharding.shard_count":          true,
	"sharding.hash":                 true,
	"sharding.default_distribution": true,

	"transactions.recovery_interval": true,
	"transactions.in_doubt_alert":    true,

	"rebalancer.max_hold":       true, // for jobs that start later
	"rebalancer.max_slot_wal":   true,
	"rebalancer.max_parallel":   true,
	"rebalancer.max_rate":       true,
	"rebalancer.auto.enabled":   true,
	"rebalancer.auto.by":        true,
	"rebalancer.auto.interval":  true,
	"rebalancer.auto.threshold": true,
	"rebalancer.auto.from":      true,
	"rebalancer.auto.to":        true,
	"reads.consistency":         true,
	"reads.max_staleness":       true,
	"reads.wait":                true,

	"replication.default":      true,
	"replication.confirm":      true,
	"replication.sync_timeout": true,
	"replication.when_missing": true,

	"failover.mode":   true,
	"failover.detect": true,
	"failover.wait":   true,

	"log.level":      true,
	"log.format":     false,
	"log.statements": true,
	"metrics.listen": false,
	"metrics.pprof":  false,
}

// Change is one key whose value differs between two configurations.
type Change struct {
	Path     string
	Old, New string // as text; a list or mapping in Go's notation
	// Reloadable says if the new value can take effect without a restart.
	Reloadable bool
}

func (c Change) String() string { return fmt.Sprintf("%s: %s -> %s", c.Path, c.Old, c.New) }

// Diff lists what differs between two resolved configurations, sorted by path.
func Diff(old, next *Config) []Change {
	var changes []Change
	a, b := keysOf(old), keysOf(next)
	for path, v := range a {
		if same(v, b[path]) {
			continue
		}
		changes = append(changes, Change{Path: path, Old: text(v), New: text(b[path]), Reloadable: reloadable[path]})
	}
	slices.SortFunc(changes, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	return changes
}

// Reload is the configuration to run on after a reload of next while running
// on old: next where that can be, old elsewhere. It writes neither of them.
// It fails with Errors when that mixture is not valid; then nothing changes.
func Reload(old, next *Config) (merged *Config, applied, restart []Change, err error) {
	m := *old
	to, from := keysOf(&m), keysOf(next)
	for _, c := range Diff(old, next) {
		if !c.Reloadable {
			restart = append(restart, c)
			continue
		}
		to[c.Path].Set(from[c.Path])
		applied = append(applied, c)
	}
	if err := m.Validate(); err != nil {
		return nil, nil, nil, err
	}
	return &m, applied, restart, nil
}

// keysOf maps the path of every key of the table above to its value.
func keysOf(c *Config) map[string]reflect.Value {
	all := map[string]reflect.Value{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if v.Kind() != reflect.Struct {
			all[path] = v
			return
		}
		for _, f := range fieldsOf(v.Type()) {
			walk(join(path, f.key), v.FieldByIndex(f.index))
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return all
}

// same takes an absent list or mapping for an empty one.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func text(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprintf("%+v", v.Interface())
}
