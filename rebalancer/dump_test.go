package rebalancer

import "testing"

func TestStatementsOfDump(t *testing.T) {
	const dump = "\\restrict x\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n--\n-- Name: f(); Type: FUNCTION\n" +
		"SET transaction_timeout = 0;\nCREATE SCHEMA public;\n\\unrestrict x\n"
	const body = "--\n-- Name: f(); Type: FUNCTION\nSET transaction_timeout = 0;\n"
	if got, want := string(statements([]byte(dump), 16)), "SET lock_timeout = 0;\n"+body; got != want {
		t.Errorf("for 16: %q, want %q", got, want)
	}
	if got, want := string(statements([]byte(dump), 17)), "SET lock_timeout = 0;\nSET transaction_timeout = 0;\n"+body; got != want {
		t.Errorf("for 17: %q, want %q", got, want)
	}
}
