// Package failpoint lets a test break the process at a named instruction. PLEIAD_FAILPOINT=name[:n[:stop]] arms one:
// at the n-th pass (the first by default) the process kills itself with SIGKILL, as a power cut would. With "stop" it
// stops itself with SIGSTOP instead, as a machine that hangs would, until somebody sends SIGCONT.
package failpoint

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	armed string
	stops bool
	left  atomic.Int64
)

func init() {
	name, rest, _ := strings.Cut(os.Getenv("PLEIAD_FAILPOINT"), ":")
	n, action, _ := strings.Cut(rest, ":")
	armed, stops = name, action == "stop"
	count, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		count = 1
	}
	left.Store(count)
}

// Hit is one pass of the named point.
func Hit(name string) {
	if armed == "" || armed != name || left.Add(-1) != 0 {
		return
	}
	if stops {
		stop()
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// stop sends the signal to the calling thread: one sent to the process may be taken by another thread, and this one
// would run on for a while.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}
