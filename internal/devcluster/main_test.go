package devcluster

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asRunner makes the test binary a process that runs a cluster until it is killed: "DIR PAUSED",
// where PAUSED names a server to freeze once all are ready.
const asRunner = "DEVCLUSTER_TEST_RUNNER"

func TestMain(m *testing.M) {
	if args := os.Getenv(asRunner); args != "" {
		os.Exit(runUntilKilled(args))
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	if code == 0 {
		code = reportLeaks(goroutines, files)
	}
	os.Exit(code)
}

func runUntilKilled(args string) int {
	dir, paused, _ := strings.Cut(args, " ")
	c, err := Start(context.Background(), Options{Dir: dir, Backends: 1, Replicas: 1, Fast: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if s := c.Server(paused); s != nil {
		if err := s.Pause(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	<-c.Done()
	return 0
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// reportLeaks allows what ends by itself a moment to end.
func reportLeaks(goroutines, files int) int {
	deadline := time.Now().Add(5 * time.Second)
	for {
		g, f, children := runtime.NumGoroutine(), openFiles(), childProcesses()
		// The runtime opens two descriptors of its own (epoll and its wake-up) at the first socket.
		if g <= goroutines && f <= files+2 && len(children) == 0 {
			return 0
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			fmt.Printf("leaked: goroutines %d → %d, descriptors %d → %d, children %v\n%s\n",
				goroutines, g, files, f, children, stacks[:runtime.Stack(stacks, true)])
			return 1
		}
		time.Sleep(pollInterval)
	}
}

func childProcesses() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var children []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && parentOf(pid) == syscall.Getpid() {
			children = append(children, pid)
		}
	}
	return children
}
