package backend

import "fmt"

// DialError is a backend that could not be reached or did not let pleiad in.
type DialError struct {
	Backend string
	Err     error
}

func (e *DialError) Error() string { return fmt.Sprintf("connect to backend %q: %v", e.Backend, e.Err) }

// Unwrap gives the cause.
func (e *DialError) Unwrap() error { return e.Err }
