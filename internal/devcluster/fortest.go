package devcluster

import "context"

// TB is what ForTest needs of *testing.T or *testing.B.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// ForTest starts a Fast cluster in a temporary directory that ends with the test. A package that
// shares one between tests calls Start with Options{Fast: true} and no Dir in its TestMain.
func ForTest(tb TB, o Options) *Cluster {
	tb.Helper()
	o.Fast = true
	// The test's own context ends before its clean-ups run; these may still want the servers.
	c, err := Start(context.WithoutCancel(tb.Context()), o)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Errorf("stop local servers: %v", err)
		}
	})
	return c
}
