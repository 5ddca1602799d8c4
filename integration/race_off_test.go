//go:build !race

package integration

const testsRaced = false
