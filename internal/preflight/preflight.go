// Package preflight is what `pleiad check-config` does against the servers: it
// looks at each of them, changes nothing, and says what is missing and how to
// give it.
package preflight

import (
	"context"
	"sync"
	"time"

	"github.com/pleiad/pleiad/internal/config"
)

// lookTimeout bounds the queries after a connection is made.
const lookTimeout = 10 * time.Second

// Check looks at all servers at once and returns when every one has answered,
// failed or run out of time. A server that cannot be reached is a finding.
func Check(ctx context.Context, c *config.Config) Report {
	all := targets(c)
	found := make([]facts, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.Timeouts.Connect.D()+lookTimeout)
			defer cancel()
			found[i] = look(ctx, t, c.Timeouts.Connect.D())
		})
	}
	wg.Wait()
	return judge(c, found)
}

// target is one server and what the configuration says it is.
type target struct {
	backend     string
	replica     bool
	server      config.Server
	credentials config.Credentials
}

// targets lists each primary followed by its replicas, in the file's order.
func targets(c *config.Config) []target {
	var all []target
	for _, b := range c.Backends {
		all = append(all, target{b.Name, false, b.Primary, b.Credentials})
		for _, r := range b.Replicas {
			all = append(all, target{b.Name, true, r, b.Credentials})
		}
	}
	return all
}
