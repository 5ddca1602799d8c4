package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// intRow is a visible text column and a hidden int4 sort column; a nil key is NULL.
func intRow(key *int32) []byte {
	if key == nil {
		return dataRow([]byte("null"), nil)
	}
	return dataRow([]byte(fmt.Sprint(*key)), binary.BigEndian.AppendUint32(nil, uint32(*key)))
}

// sortedParts deals n random keys out over k backends, each part sorted, and gives the whole in order too.
func sortedParts(seed uint64, n, k int, desc, nullsFirst bool) (parts [][][]byte, whole []string) {
	r := random(seed)
	keys := make([]*int32, n)
	for i := range keys {
		if r.IntN(10) != 0 {
			v := int32(r.IntN(n)) - int32(n)/2
			keys[i] = &v
		}
	}
	order := func(a, b *int32) int {
		c := comparator{order: bytes.Compare, desc: desc, nullsFirst: nullsFirst}
		enc := func(v *int32) []byte {
			if v == nil {
				return nil
			}
			return binary.BigEndian.AppendUint32(nil, uint32(*v)^1<<31)
		}
		return c.compare(enc(a), enc(b))
	}
	slices.SortStableFunc(keys, order)
	parts = make([][][]byte, k)
	for _, v := range keys {
		i := r.IntN(k)
		parts[i] = append(parts[i], intRow(v))
		text := "null"
		if v != nil {
			text = fmt.Sprint(*v)
		}
		whole = append(whole, text)
	}
	return parts, whole
}

var sortColumns = []uint32{25, oidInt4}

// serving makes servers that answer a SELECT with these rows each.
func serving(t *testing.T, oids []uint32, parts [][][]byte) *fakeServers {
	var scripts []func(string) answer
	for _, rows := range parts {
		scripts = append(scripts, func(sql string) answer {
			if !strings.HasPrefix(sql, "SELECT") {
				return answer{}
			}
			return answer{oids: oids, rows: rows, tag: fmt.Sprintf("SELECT %d", len(rows))}
		})
	}
	return newServers(t, scripts...)
}

func scatterOver(t *testing.T, g *Gang, n int) *Scatter {
	t.Helper()
	s := &Scatter{Gang: g, Texts: []string{"SELECT"}, Limit: -1, Command: "SELECT"}
	for i := range n {
		m, err := g.Join(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// compareKeys orders two rows of intRow.
func compareKeys(t *testing.T, a, b []byte) int {
	t.Helper()
	c, err := newComparator(oidInt4, router.SortKey{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, _, errX := appendKeys(nil, a, 1)
	y, _, errY := appendKeys(nil, b, 1)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	return c.compare(x[0].value, y[0].value)
}

// values gives the first column of each row of a stream.
func values(t *testing.T, stream []byte) (out []string) {
	t.Helper()
	for _, f := range frames(t, stream) {
		if f[0] == 'D' {
			row, err := rowValues(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(row[0]))
		}
	}
	return out
}

// ending is the last frame of a stream: its type and tag or SQLSTATE.
func ending(t *testing.T, stream []byte) string {
	t.Helper()
	all := frames(t, stream)
	if len(all) == 0 {
		return ""
	}
	last := all[len(all)-1]
	switch last[0] {
	case 'C':
		return "C " + strings.TrimRight(string(last[5:]), "\x00")
	case 'E':
		return "E " + wire.ErrorField(last, 'C')
	}
	return string(last[0])
}

func runScatter(t *testing.T, s *Scatter) (stream []byte, failed bool) {
	t.Helper()
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	within(t, func() {
		var err error
		if failed, err = s.Run(t.Context(), out, &watcher{}); err != nil {
			t.Error(err)
		}
	})
	_ = out.Flush()
	return got.Bytes(), failed
}

func TestMergeKeepsOrderNullsLimitAndOffset(t *testing.T) {
	for n, c := range []struct {
		desc, nullsFirst bool
		limit, offset    int64
		describe         bool
	}{
		{limit: -1}, {desc: true, nullsFirst: true, limit: -1}, {nullsFirst: true, limit: 10, describe: true},
		{desc: true, limit: 7, offset: 1990}, {limit: 0}, {limit: 100, offset: 3000}, {limit: -1, offset: 5},
	} {
		parts, want := sortedParts(uint64(n), 2000, 3, c.desc, c.nullsFirst)
		from := min(int(c.offset), len(want))
		want = want[from:]
		if c.limit >= 0 {
			want = want[:min(int(c.limit), len(want))]
		}
		g := newGang(t, serving(t, sortColumns, parts))
		s := scatterOver(t, g, 3)
		s.Sort = []router.SortKey{{Desc: c.desc, NullsFirst: c.nullsFirst}}
		s.Limit, s.Offset, s.Describe = c.limit, c.offset, c.describe
		got, failed := runScatter(t, s)
		if failed || !slices.Equal(values(t, got), want) {
			t.Errorf("%+v: %d rows, want %d", c, len(values(t, got)), len(want))
		}
		if e := ending(t, got); e != fmt.Sprintf("C SELECT %d", len(want)) {
			t.Errorf("%+v: %s", c, e)
		}
		if described := got[0] == 'T'; described != c.describe {
			t.Errorf("%+v: begins with %c", c, got[0])
		}
		if c.describe && len(ColumnTypes(frames(t, got)[0])) != 1 {
			t.Error("the sort column is described to the client")
		}
	}
}

func TestConcatGivesEveryRowOnce(t *testing.T) {
	parts, want := sortedParts(9, 5000, 3, false, false)
	for _, limit := range []int64{-1, 4000} {
		g := newGang(t, serving(t, sortColumns, parts))
		s := scatterOver(t, g, 3)
		s.Limit = limit
		got, failed := runScatter(t, s)
		rows := values(t, got)
		if limit >= 0 {
			if failed || len(rows) != int(limit) {
				t.Fatalf("LIMIT %d gave %d rows", limit, len(rows))
			}
			continue
		}
		sorted := slices.Clone(want)
		slices.Sort(sorted)
		slices.Sort(rows)
		if failed || !slices.Equal(rows, sorted) || ending(t, got) != "C SELECT 5000" {
			t.Fatalf("%d rows, %s", len(rows), ending(t, got))
		}
	}
}

func TestFetchGivesRowsInPieces(t *testing.T) {
	for _, sorted := range []bool{true, false} {
		parts, want := sortedParts(11, 100, 3, false, false)
		g := newGang(t, serving(t, sortColumns, parts))
		g.Begin(TxnExplicit, "BEGIN")
		s := scatterOver(t, g, 3)
		if sorted {
			s.Sort = []router.SortKey{{}}
		}
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows, ends []string
		for more := true; more; {
			var got bytes.Buffer
			out := wire.NewWriter(&got)
			var err error
			within(t, func() { more, err = s.Fetch(t.Context(), 30, out, &watcher{}) })
			if err != nil {
				t.Fatal(err)
			}
			_ = out.Flush()
			rows = append(rows, values(t, got.Bytes())...)
			ends = append(ends, ending(t, got.Bytes()))
		}
		if !sorted {
			slices.Sort(rows)
			slices.Sort(want)
		}
		if !slices.Equal(rows, want) || strings.Join(ends, ",") != "s,s,s,C SELECT 10" {
			t.Errorf("sorted %v: %d rows, %v", sorted, len(rows), ends)
		}
	}
}

// TestAnotherStatementBetweenFetches: the connections of a suspended portal run other statements meanwhile.
func TestAnotherStatementBetweenFetches(t *testing.T) {
	parts, want := sortedParts(12, 30_000, 3, false, false)
	// The first backend's keys come first, so that the others' rows wait read ahead.
	first := slices.Concat(parts[0], parts[1], parts[2])
	slices.SortStableFunc(first, func(a, b []byte) int { return compareKeys(t, a, b) })
	parts = [][][]byte{first[:10_000], first[10_000:20_000], first[20_000:]}
	for _, sorted := range []bool{true, false} {
		g := newGang(t, serving(t, sortColumns, parts))
		g.Begin(TxnExplicit, "BEGIN")
		s := scatterOver(t, g, 3)
		if sorted {
			s.Sort = []router.SortKey{{}}
		}
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		out := wire.NewWriter(&got)
		within(t, func() {
			for more := true; more; {
				var err error
				if more, err = s.Fetch(t.Context(), 7000, out, &watcher{}); err != nil {
					t.Error(err)
					return
				}
				m, err := g.Join(t.Context(), 1)
				if err != nil {
					t.Error(err)
					return
				}
				m.Query([]byte("UPDATE t SET a = 1"))
				var other bytes.Buffer
				ow := wire.NewWriter(&other)
				if _, err := Relay(m, ow, &watcher{}); err != nil {
					t.Error(err)
					return
				}
				_ = ow.Flush()
				if e := ending(t, other.Bytes()); e != "C UPDATE" {
					t.Errorf("the other statement gave %s", e)
				}
			}
		})
		_ = out.Flush()
		rows := values(t, got.Bytes())
		if !sorted {
			slices.Sort(rows)
			slices.Sort(want)
		}
		if !slices.Equal(rows, want) {
			t.Errorf("sorted %v: %d rows of %d, %s", sorted, len(rows), len(want), ending(t, got.Bytes()))
		}
	}
}

// TestHoldingAtAnyMoment: whatever has been read ahead when another statement comes, the rest is read too.
func TestHoldingAtAnyMoment(t *testing.T) {
	for n := range 120 {
		parts, want := sortedParts(uint64(n), 40*n+3, 3, false, false)
		if n%2 == 0 {
			for i := range parts {
				for at := range parts[i] {
					parts[i][at] = join(notice("between rows"), parts[i][at])
				}
			}
		}
		g := newGang(t, serving(t, sortColumns, parts))
		g.Begin(TxnExplicit, "BEGIN")
		s := scatterOver(t, g, 3)
		if n%3 != 0 {
			s.Sort = []router.SortKey{{}}
		}
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		out := wire.NewWriter(&got)
		within(t, func() {
			more, err := s.Fetch(t.Context(), int64(1+n%7), out, &watcher{})
			g.quiesce()
			for more && err == nil {
				more, err = s.Fetch(t.Context(), 1000, out, &watcher{})
			}
			if err != nil {
				t.Error(err)
			}
		})
		_ = out.Flush()
		if rows := values(t, got.Bytes()); len(rows) != len(want) {
			t.Fatalf("%d rows of %d", len(rows), len(want))
		}
	}
}

func TestSuspendedStatementsEndWithTheirTransaction(t *testing.T) {
	for name, end := range map[string]func(g *Gang) []byte{
		"commit":   func(g *Gang) []byte { return g.Commit(t.Context(), wire.NewWriter(io.Discard), &watcher{}) },
		"rollback": func(g *Gang) []byte { g.Rollback(wire.NewWriter(io.Discard), &watcher{}); return nil },
		"release":  func(g *Gang) []byte { g.Release(); return nil },
		"close":    func(g *Gang) []byte { g.Close(); return nil },
		"members":  func(g *Gang) []byte { g.Members(); return nil },
	} {
		parts, _ := sortedParts(13, 100_000, 3, false, false)
		fs := serving(t, sortColumns, parts)
		g := newGang(t, fs)
		if name == "commit" || name == "rollback" {
			g.Begin(TxnExplicit, "BEGIN")
		}
		s := scatterOver(t, g, 3)
		s.Sort = []router.SortKey{{}}
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		out := wire.NewWriter(io.Discard)
		within(t, func() {
			if more, err := s.Fetch(t.Context(), 10, out, &watcher{}); err != nil || !more {
				t.Errorf("%s: more %v, %v", name, more, err)
			}
			if e := end(g); e != nil {
				t.Errorf("%s: %s", name, wire.ErrorField(e, 'M'))
			}
		})
		if s.reading() != 0 || len(g.streaming) != 0 {
			t.Errorf("%s: %d streams still read", name, s.reading())
		}
		for _, m := range g.members {
			if m.Broken() || m.Owed != 0 || m.Status != 'I' {
				t.Errorf("%s: broken %v, owed %d, status %c", name, m.Broken(), m.Owed, m.Status)
			}
		}
	}
}

func TestMoreRowsThanCanBeHeldFailThePortal(t *testing.T) {
	big := dataRow(bytes.Repeat([]byte("x"), 1<<20), be32(1))
	var rows [][]byte
	for range heldBytes>>20 + 10 {
		rows = append(rows, big)
	}
	g := newGang(t, serving(t, sortColumns, [][][]byte{rows, {big}}))
	g.Begin(TxnExplicit, "BEGIN")
	s := scatterOver(t, g, 2)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	out := wire.NewWriter(&got)
	within(t, func() {
		if more, err := s.Fetch(t.Context(), 1, out, &watcher{}); !more || err != nil {
			t.Error(more, err)
		}
		if _, err := g.Join(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if more, err := s.Fetch(t.Context(), 1, out, &watcher{}); more || err != nil {
			t.Error(more, err)
		}
	})
	_ = out.Flush()
	if e := ending(t, got.Bytes()); e != "E 53400" {
		t.Error(e)
	}
}

func TestTurns(t *testing.T) {
	row := func(s string) []byte { return dataRow([]byte(s)) }
	parts := [][][]byte{{row("a0"), row("a1"), row("a2")}, {row("b0")}, {row("c0"), row("c1")}}
	g := newGang(t, serving(t, []uint32{25}, parts))
	s := scatterOver(t, g, 3)
	s.Turns = []int{2, 0, 1, 0, 1, 2, 0} // backend 1 has given a row less
	got, failed := runScatter(t, s)
	if v := strings.Join(values(t, got), " "); failed || v != "c0 a0 b0 a1 c1 a2" {
		t.Errorf("got %s", v)
	}
}

func TestScatterFailsOnceWhicheverBackendFails(t *testing.T) {
	parts, _ := sortedParts(14, 3000, 3, false, false)
	for failing := range 3 {
		for _, how := range []answer{
			{oids: sortColumns, code: "22012"},
			{oids: sortColumns, rows: parts[failing][:200], code: "22012"},
			{oids: sortColumns, rows: parts[failing][:200], before: notice("n"), raw: []byte{'D', 0xff, 0xff, 0xff, 0xfe}},
			{oids: sortColumns, raw: []byte("?\x00\x00\x00\x04")},
			{oids: sortColumns, raw: join(dataRow([]byte("x")), dataRow([]byte("x")))},
			{oids: sortColumns, raw: []byte{'D', 0, 0, 0, 8, 0, 2, 0, 0}},
			{oids: sortColumns, rows: [][]byte{dataRow([]byte("1"), []byte("long key"))}},
			{oids: sortColumns, die: true},
		} {
			fs := serving(t, sortColumns, parts)
			fs.fakes[failing].say(func(string) answer { return how })
			g := newGang(t, fs)
			s := scatterOver(t, g, 3)
			s.Sort = []router.SortKey{{}}
			got, failed := runScatter(t, s)
			all := shape(t, got)
			if !failed || strings.Count(all, "E") != 1 || all[len(all)-1] != 'E' {
				t.Fatalf("backend %d, %+v: %s", failing, how, all)
			}
			for i, m := range g.members {
				if i != failing && (m.Owed != 0 || m.Broken()) {
					t.Errorf("backend %d owes %d after %d failed", i, m.Owed, failing)
				}
			}
		}
	}
}

// TestAFailureCancelsTheSlow: the one that would never answer is told to stop.
func TestAFailureCancelsTheSlow(t *testing.T) {
	never := make(chan struct{})
	fs := newServers(t,
		func(string) answer { return answer{oids: []uint32{25}, gate: never} },
		func(string) answer { return answer{oids: []uint32{25}, code: "22012"} })
	g := newGang(t, fs)
	got, failed := runScatter(t, scatterOver(t, g, 2))
	if !failed || ending(t, got) != "E 22012" {
		t.Fatalf("failed %v: %s", failed, ending(t, got))
	}
}

func TestAVanishedClientEndsTheStreams(t *testing.T) {
	parts, _ := sortedParts(15, 200_000, 3, false, false)
	for _, sorted := range []bool{true, false} {
		g := newGang(t, serving(t, sortColumns, parts))
		s := scatterOver(t, g, 3)
		if sorted {
			s.Sort = []router.SortKey{{}}
		}
		within(t, func() {
			_, err := s.Run(t.Context(), wire.NewWriter(&failingWriter{left: 40_000}), &watcher{})
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
		})
		if s.reading() != 0 {
			t.Errorf("%d streams still read", s.reading())
		}
	}
}

func TestNoticesPassWithoutBeingKept(t *testing.T) {
	var flood []byte
	for range 2000 {
		flood = append(flood, notice("again")...)
	}
	status := wire.ParameterStatus(nil, "TimeZone", "UTC")
	gate := make(chan struct{})
	fs := newServers(t,
		func(string) answer {
			return answer{oids: sortColumns, gate: gate, rows: [][]byte{dataRow([]byte("1"), be32(1))}, tag: "SELECT 1"}
		},
		func(string) answer {
			return answer{oids: sortColumns, before: join(flood, status), rows: [][]byte{dataRow([]byte("0"), be32(0))}, tag: "SELECT 1"}
		})
	g := newGang(t, fs)
	s := scatterOver(t, g, 2)
	s.Sort = []router.SortKey{{}}
	close(gate)
	got, failed := runScatter(t, s)
	if v := strings.Join(values(t, got), " "); failed || v != "0 1" || strings.Count(shape(t, got), "N") != 2000 {
		t.Errorf("rows %s, %d notices", v, strings.Count(shape(t, got), "N"))
	}
	if got := s.Members[1].Param("TimeZone"); got != "UTC" {
		t.Errorf("the connection's TimeZone is %q", got)
	}
}

func TestRowsLargerThanAChunk(t *testing.T) {
	row := func(i int) []byte {
		return dataRow(append([]byte(fmt.Sprint(i, " ")), bytes.Repeat([]byte("z"), 3*chunkSize)...), be32(uint32(i)))
	}
	parts := [][][]byte{{row(0), row(3)}, {row(1), row(2), row(4)}}
	g := newGang(t, serving(t, sortColumns, parts))
	s := scatterOver(t, g, 2)
	s.Sort = []router.SortKey{{}}
	got, _ := runScatter(t, s)
	for i, v := range values(t, got) {
		if !strings.HasPrefix(v, fmt.Sprint(i, " ")) || len(v) != 2+3*chunkSize {
			t.Errorf("row %d begins with %q", i, v[:3])
		}
	}
	if ending(t, got) != "C SELECT 5" {
		t.Error(ending(t, got))
	}
}

func FuzzRowDecoders(f *testing.F) {
	f.Add(dataRow([]byte("a"), nil, []byte("b"))[5:], 1)
	f.Add(rowDescription([]uint32{23, 25})[5:], 1)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 0)
	f.Fuzz(func(t *testing.T, body []byte, visible int) {
		frame, at := wire.Begin(nil, 'D')
		frame = wire.End(append(frame, body...), at)
		if visible = visible & 15; visible > 0 {
			keys, cut, err := appendKeys(nil, frame, visible)
			if err == nil {
				out := appendVisible(nil, frame, visible, cut)
				if rest, _, err := appendKeys(nil, out, visible); err != nil || len(rest) != 0 {
					t.Fatalf("cut row %q: %v", out, err)
				}
				if n := int(binary.BigEndian.Uint16(body)); n != visible+len(keys) {
					t.Fatalf("%d columns, %d keys", n, len(keys))
				}
			}
		}
		_, _ = rowValues(frame)
		_ = ColumnTypes(frame)
		_ = stripColumns(frame, visible)
		_ = wire.ErrorField(frame, 'C')
		_ = replaceField(frame, 'W', "where")
		_ = new(Member).clientTerms(frame, 3)
		(&OIDs{Types: map[uint32]uint32{16384: 1}}).Rows(frame)
		(&OIDs{Types: map[uint32]uint32{16384: 1}}).Params(frame)
	})
}

func BenchmarkMergeThreeStreams(b *testing.B) {
	const rows = 100_000
	parts, _ := sortedParts(16, rows, 3, false, false)
	streams := make([][]byte, 3)
	for i := range streams {
		streams[i] = bytes.Join(parts[i], nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		g := &Gang{}
		s := &Scatter{Gang: g, Limit: -1, Command: "SELECT", Sort: []router.SortKey{{}}, columns: 1, types: sortColumns[1:]}
		c, err := newComparator(oidInt4, router.SortKey{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		s.cmp = []comparator{c}
		s.events = make(chan event, 3*(chunksAhead+1))
		for i := range streams {
			said := join(streams[i], wire.CommandComplete(nil, "SELECT"), wire.ReadyForQuery(nil, 'I'))
			m := member(&replay{left: said})
			m.Owed = 1
			s.streams = append(s.streams, newStream(i, m, s.events))
			go s.streams[i].read()
		}
		if more, err := s.Fetch(context.Background(), 0, wire.NewWriter(io.Discard), &watcher{}); more || err != nil || s.sent != rows {
			b.Fatal(more, err, s.sent)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
