package config

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	clusterName = regexp.MustCompile(`^[a-z0-9_]{1,20}$`)
	backendName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	serverName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	// envName is what POSIX calls a portable name.
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// maxSocketPath is sizeof(sockaddr_un.sun_path) less the final NUL on Linux.
const maxSocketPath = 107

// maxName is NAMEDATALEN - 1, the longest name of a role or database.
const maxName = 63

// Validate checks a resolved configuration that was made in code; Load and
// Parse have done it already. The error is of type Errors.
func (c *Config) Validate() error {
	if errs := c.check(); len(errs) > 0 {
		return errs
	}
	return nil
}

// checker collects errors; its methods return nothing so that all are found.
type checker struct{ errs Errors }

func (k *checker) add(path string, value any, allowed string) {
	text := fmt.Sprint(value)
	if v := reflect.ValueOf(value); v.Kind() == reflect.String {
		text = strconv.Quote(v.String())
	}
	k.errs = append(k.errs, FieldError{Path: path, Value: text, Allowed: allowed})
}

func (k *checker) missing(path, allowed string) {
	k.errs = append(k.errs, FieldError{Path: path, Allowed: allowed})
}

// between checks an integer of any kind.
func between[T ~int | ~int64](k *checker, path string, v, low, high T) {
	if v < low || v > high {
		k.add(path, v, fmt.Sprintf("must be %v to %v", low, high))
	}
}

func (k *checker) duration(path string, d Duration, zeroAllowed bool) {
	switch {
	case d < 0:
		k.add(path, d, "must not be negative")
	case d == 0 && !zeroAllowed:
		k.add(path, d, "must be more than 0")
	}
}

func (c *Config) check() Errors {
	var k checker
	k.enums("", reflect.ValueOf(c).Elem())
	c.checkIdentity(&k)
	c.checkBackends(&k)
	c.checkPools(&k)
	c.checkClients(&k)
	c.checkNumbers(&k)
	return k.errs
}

// enums checks every field of an enum type wherever it stands. "" passes
// here where it means "inherit": in lists and maps, and in backend_tls.
func (k *checker) enums(path string, v reflect.Value) {
	if e, ok := v.Interface().(enum); ok {
		inherits := strings.HasPrefix(path, "users.") || strings.HasPrefix(path, "databases.") || path == "backend_tls.mode"
		if text := v.String(); !slices.Contains(e.options(), text) && !(text == "" && inherits) {
			k.add(path, text, "must be one of "+strings.Join(e.options(), ", "))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			k.enums(join(path, f.key), v.FieldByIndex(f.index))
		}
	case reflect.Slice:
		for i := range v.Len() {
			k.enums(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Map:
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			k.enums(join(path, name.String()), v.MapIndex(name))
		}
	}
}

func (c *Config) checkIdentity(k *checker) {
	if !clusterName.MatchString(c.Cluster) {
		k.add("cluster", c.Cluster, "must be 1 to 20 of a-z, 0-9 and _")
	}
	port := k.listen("listen", c.Listen)
	if c.ListenUnix != "" {
		k.socketDir("listen_unix", c.ListenUnix, port)
	}
	if len(c.Backends) == 0 {
		return // an unknown home would be the same error again
	}
	if _, ok := c.Backend(c.Home); !ok {
		var names []string
		for _, b := range c.Backends {
			if b.Name != "" && !slices.Contains(names, b.Name) {
				names = append(names, b.Name)
			}
		}
		k.add("home", c.Home, "must be the name of a backend: "+strings.Join(names, ", "))
	}
}

// listen checks host:port and returns the port, 0 when it is wrong.
func (k *checker) listen(path, value string) int {
	const allowed = "must be host:port with a port of 0 to 65535 (0: any free one)"
	_, text, err := net.SplitHostPort(value)
	if err != nil {
		k.add(path, value, allowed)
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		k.add(path, value, allowed)
	}
	return int(port)
}

func (k *checker) socketDir(path, dir string, port int) {
	name := fmt.Sprintf("%s/.s.PGSQL.%d", dir, port)
	switch {
	case !strings.HasPrefix(dir, "/"):
		k.add(path, dir, "must be an absolute path")
	case len(name) > maxSocketPath:
		k.add(path, dir, fmt.Sprintf("too long: the socket's path may have %d bytes and would have %d", maxSocketPath, len(name)))
	}
}

func (c *Config) checkPools(k *checker) {
	between(k, "pool.size", c.Pool.Size, 1, 10000)
	if c.Pool.MinIdle < 0 || c.Pool.MinIdle > c.Pool.Size {
		k.add("pool.min_idle", c.Pool.MinIdle, fmt.Sprintf("must be 0 to pool.size (%d)", c.Pool.Size))
	}
	k.duration("pool.queue_timeout", c.Pool.QueueTimeout, true)
	k.duration("pool.idle_timeout", c.Pool.IdleTimeout, true)
	k.duration("pool.max_lifetime", c.Pool.MaxLifetime, true)
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		path, u := "users."+name, c.Users[name]
		k.name(path, name)
		between(k, path+".pool_size", u.PoolSize, 0, 10000)
		k.password(path, u.PasswordSource)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		path := "databases." + name
		k.name(path, name)
		between(k, path+".pool_size", c.Databases[name].PoolSize, 0, 10000)
	}
}

func (k *checker) name(path, name string) {
	if len(name) > maxName || strings.ContainsRune(name, 0) {
		k.missing(path, fmt.Sprintf("a name has at most %d bytes and no NUL", maxName))
	}
}

func (c *Config) checkClients(k *checker) {
	host, _, _ := net.SplitHostPort(c.Listen)
	local := loopback(host)
	switch {
	case c.Auth.Method == AuthTrust && !local:
		k.add("auth.method", c.Auth.Method, fmt.Sprintf("trust needs listen on a loopback address, not %s", c.Listen))
	case c.Auth.Method == AuthPassword && !local && c.TLS.Mode == ClientTLSDisable:
		k.add("auth.method", c.Auth.Method, "password needs tls.mode allow or require, or listen on a loopback address")
	}
	k.duration("auth.login_timeout", c.Auth.LoginTimeout, false)
	between(k, "auth.max_unauthenticated", c.Auth.MaxUnauthenticated, 1, 1_000_000)
	between(k, "auth.max_unauthenticated_per_address", c.Auth.MaxUnauthenticatedPerAddress, 1, 1_000_000)
	if c.TLS.Mode == ClientTLSAllow || c.TLS.Mode == ClientTLSRequire {
		if c.TLS.Cert == "" {
			k.missing("tls.cert", fmt.Sprintf("must be set when tls.mode is %s", c.TLS.Mode))
		}
		if c.TLS.Key == "" {
			k.missing("tls.key", fmt.Sprintf("must be set when tls.mode is %s", c.TLS.Mode))
		}
	}
	if c.TLS.ClientCA != "" && c.TLS.Mode != ClientTLSRequire {
		k.add("tls.client_ca", c.TLS.ClientCA, "needs tls.mode require, or clients without TLS pass unchecked")
	}
	if c.Metrics.Listen != "" {
		k.listen("metrics.listen", c.Metrics.Listen)
	} else if c.Metrics.Pprof {
		k.add("metrics.pprof", true, "needs metrics.listen")
	}
}

func (c *Config) checkNumbers(k *checker) {
	l := c.Limits
	between(k, "limits.max_clients", l.MaxClients, 1, 1_000_000)
	between(k, "limits.max_message", l.MaxMessage, 64*KiB, MaxMessage)
	if l.MaxQueryBytes < KiB || l.MaxQueryBytes > l.MaxMessage {
		k.add("limits.max_query_bytes", l.MaxQueryBytes, fmt.Sprintf("must be 1KiB to limits.max_message (%s)", l.MaxMessage))
	}
	between(k, "limits.max_prepared_per_client", l.MaxPreparedPerClient, 1, 1_000_000)
	between(k, "limits.max_prepared_per_server", l.MaxPreparedPerServer, 1, 1_000_000)
	between(k, "limits.plan_cache_bytes", l.PlanCacheBytes, MiB, 1024*GiB)
	between(k, "limits.gather_max_bytes", l.GatherMaxBytes, 0, 1024*GiB)

	t := c.Timeouts
	k.duration("timeouts.connect", t.Connect, false)
	k.duration("timeouts.client_idle", t.ClientIdle, true)
	k.duration("timeouts.idle_in_transaction", t.IdleInTransaction, true)
	k.duration("timeouts.query", t.Query, true)
	k.duration("timeouts.tcp_keepalive", t.TCPKeepalive, true)
	k.duration("timeouts.cancel", t.Cancel, false)
	k.duration("timeouts.shutdown", t.Shutdown, true)

	between(k, "sharding.shard_count", c.Sharding.ShardCount, 1, 4096)
	k.duration("transactions.recovery_interval", c.Transactions.RecoveryInterval, false)
	k.duration("transactions.in_doubt_alert", c.Transactions.InDoubtAlert, true)

	r := c.Rebalancer
	k.duration("rebalancer.max_hold", r.MaxHold, false)
	between(k, "rebalancer.max_slot_wal", r.MaxSlotWAL, 0, 1024*1024*GiB)
	between(k, "rebalancer.max_parallel", r.MaxParallel, 1, 64)
	between(k, "rebalancer.max_rate", r.MaxRate, 0, 1024*GiB)
	k.duration("rebalancer.auto.interval", r.Auto.Interval, false)
	between(k, "rebalancer.auto.threshold", r.Auto.Threshold, 1, 1000)

	c.checkReplicas(k)
}

// minDetect is the shortest time in which a primary can be told to be lost rather than busy.
const minDetect = Duration(500 * time.Millisecond)

func (c *Config) checkReplicas(k *checker) {
	k.duration("reads.max_staleness", c.Reads.MaxStaleness, false)
	k.duration("reads.wait", c.Reads.Wait, true)
	between(k, "replication.confirm", c.Replication.Confirm, 1, 8)
	k.duration("replication.sync_timeout", c.Replication.SyncTimeout, false)
	if c.Failover.Detect < minDetect {
		k.add("failover.detect", c.Failover.Detect, fmt.Sprintf("must be %s or more", minDetect))
	}
	k.duration("failover.wait", c.Failover.Wait, true)
}
