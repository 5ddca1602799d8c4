package rebalancer

import (
	"errors"
	"strings"
	"testing"
)

func TestPickDump(t *testing.T) {
	all := []dump{{"/a", 15}, {"/b", 18}, {"/c", 17}}
	for major, want := range map[int]string{15: "/a", 16: "/c", 17: "/c", 18: "/b"} {
		if got, err := pickDump(all, major); got != want || err != nil {
			t.Errorf("for %d: %q, %v, want %q", major, got, err, want)
		}
	}
	if _, err := pickDump(all, 19); !errors.Is(err, errNoDump) || !strings.Contains(err.Error(), "/b is of PostgreSQL 18") {
		t.Errorf("all too old: %v", err)
	}
	if _, err := pickDump(nil, 15); !errors.Is(err, errNoDump) {
		t.Errorf("none: %v", err)
	}
}

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
