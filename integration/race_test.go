package integration

import (
	"os"
	"time"
)

// raced says that the program runs under the race detector, which slows it and swells its memory.
func raced() bool { return testsRaced || os.Getenv("PLEIAD_TEST_RACE") == "1" }

// patience stretches a promised time limit.
func patience(limit time.Duration) time.Duration {
	if raced() {
		return 4 * limit
	}
	return limit
}

// memoryLimit stretches a promised memory limit. The promise itself holds for the program as it is shipped.
func memoryLimit(bytes int64) int64 {
	if raced() {
		return 8 * bytes
	}
	return bytes
}
