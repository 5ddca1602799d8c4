package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/devcluster"
	"github.com/pleiad/pleiad/proxy"
)

type devOptions struct {
	backends, replicas int
	listen, dir, pgBin string
	logLevel           string
	metrics            string
	failover           string
	readWeight         int
	reset              bool
}

func devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Make and run local PostgreSQL servers, and serve in front of them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return dev(cmd.Context(), o) },
	}
	f := c.Flags()
	f.IntVar(&o.backends, "backends", 3, "number of primaries")
	f.IntVar(&o.replicas, "replicas", 1, "standbys of each primary")
	f.StringVar(&o.listen, "listen", "127.0.0.1:6432", "address for clients; a loopback one, since there are no passwords")
	f.StringVar(&o.dir, "dir", ".pleiad/dev", "where the servers' data is kept between runs")
	f.StringVar(&o.pgBin, "pg-bin", "", "PostgreSQL's bin directory (default: the newest found)")
	f.BoolVar(&o.reset, "reset", false, "throw the data in --dir away first")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.IntVar(&o.readWeight, "primary-reads", 0, "the primaries' share of the reads that replicas may answer; a replica's is 1")
	f.StringVar(&o.failover, "failover", "promote", "what happens when a primary is lost: promote or follow")
	f.StringVar(&o.metrics, "metrics", "", "address for metrics and health, such as 127.0.0.1:9187")
	return c
}

func dev(ctx context.Context, o devOptions) error {
	var level slog.LevelVar
	log := newLogger(os.Stderr, config.Log{Level: config.LogLevel(o.logLevel)}, &level)
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		Dir: o.dir, Backends: o.backends, Replicas: o.replicas, PGBin: o.pgBin, Reset: o.reset, Log: log,
	})
	if err != nil {
		return err
	}
	// pg_dump of the same programs copies the schema when a backend is added.
	if err := os.Setenv("PLEIAD_PG_BIN", cluster.BinDir()); err != nil {
		return errors.Join(err, cluster.Stop())
	}
	cfg, err := devConfig(cluster, o)
	if err != nil {
		return errors.Join(err, cluster.Stop())
	}
	srv, err := proxy.New(cfg, log)
	if err != nil {
		return errors.Join(err, cluster.Stop())
	}
	srv.SetRejoin(func(ctx context.Context, _, server, primary string) error {
		return rejoin(ctx, cluster, server, primary)
	})
	err = runProxy(ctx, srv, cfg, log, func(addrs []net.Addr) {
		fmt.Printf("pleiad is ready: postgres://%s@%s/postgres\n", cluster.SuperUser(), addrs[0])
	})
	return errors.Join(err, cluster.Stop())
}

// rejoin makes a server that was a primary a standby of the one that took over.
func rejoin(ctx context.Context, cluster *devcluster.Cluster, server, primary string) error {
	s, p := cluster.Server(server), cluster.Server(primary)
	if s == nil || p == nil {
		return fmt.Errorf("rejoin %s: it is no server of this cluster", server)
	}
	return s.Rejoin(ctx, p)
}

// devConfig is the configuration of a proxy in front of a dev cluster: trust on a loopback address, and the servers'
// Unix sockets, which only this user can reach.
func devConfig(cluster *devcluster.Cluster, o devOptions) (*config.Config, error) {
	cfg := config.Default()
	cfg.Listen = o.listen
	cfg.Auth.Method = config.AuthTrust
	cfg.Log.Level = config.LogLevel(o.logLevel)
	cfg.Metrics.Listen, cfg.Metrics.Pprof = o.metrics, o.metrics != ""
	cfg.Credentials.User = cluster.SuperUser()
	cfg.Failover.Mode = config.FailoverMode(o.failover)
	for _, p := range cluster.Primaries() {
		// After a failover the primary is not the server that has the backend's name.
		b := config.Backend{Name: p.Backend, Weight: 1, Primary: config.Server{
			Name: p.Name, Host: p.SocketDir, Port: p.Port, ReadWeight: o.readWeight,
		}}
		for _, r := range cluster.Replicas(p.Backend) {
			b.Replicas = append(b.Replicas, config.Server{Name: r.Name, Host: r.SocketDir, Port: r.Port, ReadWeight: 1})
		}
		cfg.Backends = append(cfg.Backends, b)
	}
	cfg.Resolve()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg, nil
}
