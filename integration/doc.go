// Package integration judges the real program from outside: the built binary, real PostgreSQL servers,
// real drivers, faults. Its tests start one `pleiad dev` and one plain PostgreSQL and hold the first to
// what the second answers.
//
// Environment:
//
//	PLEIAD_TEST_RACE=1           build the program with the race detector
//	PLEIAD_TEST_BINARY=FILE      judge this build, not one of the tree
//	PLEIAD_TEST_TARGET=postgres  put a second plain PostgreSQL in pleiad's place: proves the comparing
//	                             tests themselves (TestSessions, TestSQL, TestClients…); the others fail
//	PLEIAD_TEST_DIR=DIR          where servers keep their data; default: the system's temporary directory
//	PLEIAD_TEST_SEED=N           what generated statements begin from; PLEIAD_TEST_STATEMENTS=N how many
//	PLEIAD_TEST_LOG=1            show the program's whole log at the end even if all tests pass
package integration
