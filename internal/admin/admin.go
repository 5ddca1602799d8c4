// Package admin is the HTTP side of a running pleiad: /metrics for Prometheus,
// /healthz and /readyz for whatever supervises the process. It asks nobody who
// they are, so it listens only where the configuration says.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options of one server. Only Listen and Registry must be set.
type Options struct {
	Listen   string // host:port; port 0 takes a free one
	Registry *prometheus.Registry
	// Ready returns nil when clients can be served; its error is shown to the
	// caller of /readyz. It must return when ctx ends. nil: always ready.
	Ready func(ctx context.Context) error
	// Pprof serves Go's profiles, which show memory, under /debug/pprof/.
	Pprof bool
	Log   *slog.Logger // nil: slog.Default()
}

const (
	headerTimeout = 5 * time.Second
	readyTimeout  = 5 * time.Second
	// A CPU profile runs for as long as its caller says, 30 s by default.
	writeTimeout = 2 * time.Minute
	idleTimeout  = time.Minute
	drain        = 2 * time.Second
	// maxScrapes bounds what concurrent callers of /metrics can hold.
	maxScrapes = 4
	maxHeader  = 16 << 10
)

// Server holds its address from New on and serves while Run runs.
type Server struct {
	options  Options
	listener net.Listener
	http     *http.Server
}

// New takes the address, so that a port in use is an error at start.
func New(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{options: o, listener: listener}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr is the address taken, with the real port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then lets running requests end within two seconds.
// It returns nil after such an end and once nothing of the server runs any more.
// It may be called once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	s.options.Log.Info("metrics_listening", "address", s.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("serve metrics: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := s.http.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("stop metrics server: %w", err)
	}
	return nil
}

// Close gives the address back when Run will not be called.
func (s *Server) Close() error { return s.listener.Close() }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		ErrorLog:            slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	if s.options.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.options.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := s.options.Ready(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
