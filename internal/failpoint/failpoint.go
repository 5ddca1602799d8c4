// Package failpoint lets a test kill the process at a named instruction. PLEIAD_FAILPOINT=name[:n] arms one: at the
// n-th pass (the first by default) the process kills itself with SIGKILL, as a power cut would.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	armed string
	left  atomic.Int64
)

func init() {
	name, n, ok := strings.Cut(os.Getenv("PLEIAD_FAILPOINT"), ":")
	armed = name
	count := int64(1)
	if ok {
		if v, err := strconv.ParseInt(n, 10, 64); err == nil {
			count = v
		}
	}
	left.Store(count)
}

// Hit is one pass of the named point.
func Hit(name string) {
	if armed == "" || armed != name || left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
