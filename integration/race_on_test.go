//go:build race

package integration

// testsRaced: the go command builds the program like the tests when the detector is asked for by GOFLAGS.
const testsRaced = true
