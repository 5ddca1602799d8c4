package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/pleiad/pleiad/internal/admin"
	"github.com/pleiad/pleiad/internal/config"
	"github.com/pleiad/pleiad/internal/preflight"
	"github.com/pleiad/pleiad/proxy"
	"github.com/pleiad/pleiad/rebalancer"
)

func serveCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve clients in front of the servers that a configuration names",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), path) },
	}
	c.Flags().StringVar(&path, "config", "config.yaml", "the configuration file")
	return c
}

func serve(ctx context.Context, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	log := newLogger(os.Stderr, cfg.Log, &level)
	srv, err := proxy.New(cfg, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		reloadOnHangup(ctx, srv, path, log, &level)
	}()
	err = runProxy(ctx, srv, cfg, log, func(addrs []net.Addr) {
		for _, a := range addrs {
			log.Info("listening", "address", a.String())
		}
	})
	stop()
	<-reloaded
	return err
}

// runProxy serves, with the metrics beside it, until ctx ends.
func runProxy(ctx context.Context, srv *proxy.Server, cfg *config.Config, log *slog.Logger, ready func([]net.Addr)) error {
	moving, stopMoving := context.WithCancel(ctx)
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		// It ends when its context does, and with nothing else.
		_ = rebalancer.New(srv, rebalancerSettings(srv), log).Run(moving)
	}()
	defer func() {
		stopMoving()
		<-moved
	}()
	if cfg.Metrics.Listen == "" {
		return srv.Run(ctx, ready)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	srv.Register(reg)
	a, err := admin.New(admin.Options{
		Listen: cfg.Metrics.Listen, Registry: reg, Ready: srv.Ready, Pprof: cfg.Metrics.Pprof, Log: log,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		err := a.Run(ctx)
		stop() // without metrics nobody sees the proxy: end it as well
		done <- err
	}()
	err = srv.Run(ctx, ready)
	stop()
	if e := <-done; err == nil {
		err = e
	}
	return err
}

// rebalancerSettings reads them from the configuration in force.
func rebalancerSettings(srv *proxy.Server) func() rebalancer.Settings {
	return func() rebalancer.Settings {
		c := srv.Config().Rebalancer
		return rebalancer.Settings{
			MaxHold: c.MaxHold.D(), MaxSlotWAL: int64(c.MaxSlotWAL), MaxParallel: c.MaxParallel, MaxRate: int64(c.MaxRate),
			Auto: rebalancer.Auto{
				Enabled: c.Auto.Enabled, By: string(c.Auto.By), Threshold: float64(c.Auto.Threshold) / 100,
				Interval: c.Auto.Interval.D(), From: c.Auto.From.D(), To: c.Auto.To.D(),
			},
		}
	}
}

// reloadOnHangup reads the configuration anew at each SIGHUP.
func reloadOnHangup(ctx context.Context, srv *proxy.Server, path string, log *slog.Logger, level *slog.LevelVar) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		next, err := config.Load(path)
		if err != nil {
			log.Error("config_not_reloaded", "error", err)
			continue
		}
		applied, restart, err := srv.Reload(next)
		if err != nil {
			log.Error("config_not_reloaded", "error", err)
			continue
		}
		setLevel(level, next.Log.Level)
		log.Info("config_reloaded", "applied", paths(applied), "needs_restart", paths(restart))
	}
}

func paths(changes []config.Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.Path)
	}
	return strings.Join(out, ",")
}

func checkConfigCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check-config",
		Short: "Check a configuration, and what each server it names lacks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			report := preflight.Check(cmd.Context(), cfg)
			if err := report.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if status := report.ExitStatus(); status != 0 {
				return exitCode(status)
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "config.yaml", "the configuration file")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version()) },
	}
}
