package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pleiad/pleiad/router/sqlparse"
)

// Register adds the proxy's metrics to a registry. They are read from the state there is: counting costs a
// statement nothing.
func (srv *Server) Register(reg *prometheus.Registry) { reg.MustRegister(collector{srv}) }

type collector struct{ srv *Server }

var (
	descClients  = prometheus.NewDesc("pleiad_clients", "Clients connected.", nil, nil)
	descSessions = prometheus.NewDesc("pleiad_sessions_total", "Sessions since the start.", nil, nil)
	descPlans    = prometheus.NewDesc("pleiad_plan_cache_lookups_total", "Plan cache look-ups.", []string{"result"}, nil)
	descParsed   = prometheus.NewDesc("pleiad_texts_parsed_total", "SQL texts that the parser has read.", nil, nil)
	descPlanSize = prometheus.NewDesc("pleiad_plan_cache_bytes", "Size of the plan cache.", nil, nil)
	descPool     = prometheus.NewDesc("pleiad_pool_connections", "Server connections.",
		[]string{"backend", "database", "role", "state"}, nil)
	descWaiting = prometheus.NewDesc("pleiad_pool_waiting", "Clients waiting for a server connection.",
		[]string{"backend", "database", "role"}, nil)
	descUp       = prometheus.NewDesc("pleiad_server_up", "Whether a server is up in its role.", []string{"server", "role"}, nil)
	descInDoubt  = prometheus.NewDesc("pleiad_transactions_in_doubt", "Distributed transactions that recovery cannot end now.", nil, nil)
	descDoubtAge = prometheus.NewDesc("pleiad_transactions_in_doubt_oldest_seconds", "Age of the oldest of them.", nil, nil)
	descLagBytes = prometheus.NewDesc("pleiad_replica_lag_bytes", "Log that a replica has not replayed.", []string{"server", "backend"}, nil)
	descLag      = prometheus.NewDesc("pleiad_replica_lag_seconds", "How old a replica's data may be.", []string{"server", "backend"}, nil)
	descTimeline = prometheus.NewDesc("pleiad_server_timeline", "A server's timeline.", []string{"server", "backend"}, nil)
	descTakeover = prometheus.NewDesc("pleiad_primary_changes_total", "Changes of a backend's primary since the start.", []string{"backend"}, nil)
	descDegraded = prometheus.NewDesc("pleiad_replication_degraded", "Whether synchronous commits do not wait, for want of replicas.", []string{"backend"}, nil)
	descDegrades = prometheus.NewDesc("pleiad_replication_degraded_total", "How often that began.", []string{"backend"}, nil)
	descRepeated = prometheus.NewDesc("pleiad_reads_repeated_total", "Reads that a server did not answer and that the primaries were asked again.", nil, nil)
	descUnsynced = prometheus.NewDesc("pleiad_commits_not_replicated_total", "Commits reported as durable on the primary alone.", nil, nil)
	descInFlight = prometheus.NewDesc("pleiad_distributed_transactions", "Distributed transactions being committed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descClients, descSessions, descPlans, descParsed, descPlanSize, descPool, descWaiting, descUp, descInFlight, descInDoubt, descDoubtAge,
		descLagBytes, descLag, descTimeline, descTakeover, descDegraded, descDegrades, descUnsynced, descRepeated,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descClients, float64(c.srv.clients.Load()))
	counter(descSessions, float64(c.srv.sessions.Load()))
	st := c.srv.plans.Stats()
	counter(descPlans, float64(st.Hits), "hit")
	counter(descPlans, float64(st.Misses), "miss")
	counter(descParsed, float64(sqlparse.Parsed()))
	gauge(descPlanSize, float64(st.Bytes))
	c.srv.eachDatabase(func(db *Database) {
		for _, p := range db.pools.Stats() {
			name := db.serverNameOf(p.Key.Backend)
			gauge(descPool, float64(p.Free), name, db.name, p.Key.Role, "free")
			gauge(descPool, float64(p.Open-p.Free), name, db.name, p.Key.Role, "used")
			gauge(descWaiting, float64(p.Waiting), name, db.name, p.Key.Role)
		}
	})
	for _, s := range c.srv.health.servers() {
		up := 0.0
		if s.State == "up" {
			up = 1
		}
		gauge(descUp, up, s.Name, s.Role)
		if s.Timeline != nil {
			gauge(descTimeline, float64(*s.Timeline), s.Name, s.Backend)
		}
		if s.LagBytes != nil {
			gauge(descLagBytes, float64(*s.LagBytes), s.Name, s.Backend)
		}
		if s.LagMS != nil {
			gauge(descLag, float64(*s.LagMS)/1000, s.Name, s.Backend)
		}
	}
	for name, n := range c.srv.nodes {
		if n.Alone() {
			continue
		}
		degraded := 0.0
		if n.Degraded() {
			degraded = 1
		}
		gauge(descDegraded, degraded, name)
		counter(descDegrades, float64(n.Degrades()), name)
		counter(descTakeover, float64(n.Changes()), name)
	}
	counter(descUnsynced, float64(c.srv.unreplicated.Load()))
	counter(descRepeated, float64(c.srv.repeated.Load()))
	doubtful, oldest := 0, time.Duration(0)
	c.srv.eachDatabase(func(db *Database) {
		n, age := db.inDoubt()
		doubtful, oldest = doubtful+n, max(oldest, age)
	})
	gauge(descInDoubt, float64(doubtful))
	gauge(descDoubtAge, oldest.Seconds())
	n := 0
	c.srv.inFlight.Range(func(any, any) bool { n++; return true })
	gauge(descInFlight, float64(n))
}

// Ready tells whether clients can be served: home, which holds the catalog, answers.
func (srv *Server) Ready(ctx context.Context) error {
	if srv.run == nil {
		return errors.New("not started")
	}
	return srv.control.with(ctx, srv.config().Home, maintenanceDB, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}
