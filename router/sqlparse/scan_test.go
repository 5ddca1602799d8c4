package sqlparse

import "testing"

func BenchmarkScanPoint(b *testing.B) {
	var s Scanner
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;")
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text)
	}
}
