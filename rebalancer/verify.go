package rebalancer

import "errors"

// verify compares what the catalog says with what is on the backends.
func (j *job) verify() error { return errors.New("not written") }
