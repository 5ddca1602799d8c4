package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// start runs a server for the test and returns its base URL.
func start(t *testing.T, o Options) string {
	t.Helper()
	o.Listen, o.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if c, err := http.Get("http://" + s.Addr().String() + "/healthz"); err == nil {
			c.Body.Close()
			t.Error("still answers after Run returned")
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func TestAnswers(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "pleiad_test_total", Help: "For the test."})
	registry.MustRegister(counter)
	counter.Add(3)
	var down atomic.Bool
	base := start(t, Options{Registry: registry, Ready: func(context.Context) error {
		if down.Load() {
			return errors.New("backend b2 is down")
		}
		return nil
	}})
	expect := func(method, path string, status int, part string) {
		t.Helper()
		if got, body := get(t, method, base+path); got != status || !strings.Contains(body, part) {
			t.Errorf("%s %s: %d %q, want %d with %q", method, path, got, body, status, part)
		}
	}
	expect("GET", "/metrics", 200, "pleiad_test_total 3")
	expect("GET", "/healthz", 200, "ok")
	expect("GET", "/readyz", 200, "ready")
	down.Store(true)
	expect("GET", "/readyz", 503, "backend b2 is down")
	expect("GET", "/healthz", 200, "ok")
	expect("POST", "/metrics", 405, "")
	expect("GET", "/debug/pprof/", 404, "")
	expect("GET", "/", 404, "")
	if _, body := get(t, "GET", base+"/metrics"); strings.Contains(body, "go_goroutines") {
		t.Error("/metrics shows the default registry")
	}
}

func TestPprofWhenAsked(t *testing.T) {
	base := start(t, Options{Pprof: true})
	if status, body := get(t, "GET", base+"/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %q", status, body)
	}
}

func TestAddressInUse(t *testing.T) {
	address := strings.TrimPrefix(start(t, Options{}), "http://")
	s, err := New(Options{Listen: address, Registry: prometheus.NewRegistry()})
	if err == nil {
		s.Close()
		t.Fatal("the same address was taken twice")
	}
	if !strings.Contains(err.Error(), "listen for metrics") {
		t.Errorf("error %v", err)
	}
}

// A request that does not end does not keep the process from ending.
func TestStopsWithARequestRunning(t *testing.T) {
	entered := make(chan struct{})
	s, err := New(Options{Listen: "127.0.0.1:0", Registry: prometheus.NewRegistry(), Ready: func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, client := make(chan error, 1), make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	go func() {
		resp, err := http.Get("http://" + s.Addr().String() + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		client <- err
	}()
	<-entered
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-client; err == nil {
		t.Error("the request was answered, it should have been cut")
	}
}
