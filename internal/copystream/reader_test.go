package copystream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/router"
)

// outcome is everything a Reader tells about a stream, in a form that can be compared.
type outcome struct {
	rows     []string // raw bytes, line and fields of each row
	raw      [][]byte
	bodies   []int
	prologue string
	epilogue string
	err      string
	hint     string
	short    int64 // line of the first row that lacks columns
}

// read cuts data at the given offsets and reads it all.
func read(t testing.TB, spec Spec, data []byte, cuts []int) outcome {
	r, err := NewReader(spec)
	if err != nil {
		t.Fatal(err)
	}
	var out outcome
	drain := func() bool {
		for {
			row, ok, err := r.Next()
			if err != nil {
				out.err = err.Error()
				var e *Error
				if errors.As(err, &e) {
					out.hint = e.Err.Hint
				}
				return false
			}
			if !ok {
				return true
			}
			if row.Short && out.short == 0 {
				out.short = row.Line
			}
			out.rows = append(out.rows, fmt.Sprintf("%q line %d (+%d) %s", row.Raw, row.Line, row.Lines, fieldsText(row.Fields)))
			out.raw = append(out.raw, slices.Clone(row.Raw))
			out.bodies = append(out.bodies, row.Body)
		}
	}
	from := 0
	for _, cut := range append(cuts, len(data)) {
		r.Feed(data[from:cut])
		from = cut
		if !drain() {
			return out
		}
	}
	r.Finish()
	if drain() {
		out.prologue, out.epilogue = string(r.Prologue()), string(r.Epilogue())
	}
	return out
}

func fieldsText(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		switch {
		case f.Null:
			b.WriteString("null ")
		case f.Default:
			b.WriteString("default ")
		default:
			fmt.Fprintf(&b, "%q ", f.Value)
		}
	}
	return b.String()
}

func text(columns ...string) Spec {
	s := Spec{Table: "t", Columns: columns, Format: router.CopyFormat{Null: `\N`}}
	for i := range columns {
		s.Want = append(s.Want, i)
	}
	return s
}

func csv(columns ...string) Spec {
	s := text(columns...)
	s.Format = router.CopyFormat{CSV: true}
	return s
}

func TestRows(t *testing.T) {
	odd := csv("a", "b")
	odd.Format = router.CopyFormat{CSV: true, Delimiter: '|', Quote: '\'', Escape: '\\', Null: "nil", ForceNull: []string{"a"}, ForceNotNull: []string{"b"}}
	header := csv("a", "b")
	header.Format.Header = true
	some := text("a", "b", "c")
	some.Want = []int{1}
	marker := text("a", "b")
	marker.Format.HasDefault, marker.Format.Default = true, `\D`
	for _, c := range []struct {
		name string
		spec Spec
		data string
		want []string
	}{
		{"plain", text("a", "b"), "1\tx\n2\t\\N\n", []string{`"1\tx\n" line 1 (+1) "1" "x" `, `"2\t\\N\n" line 2 (+1) "2" null `}},
		{"escapes", text("a"), `\b\f\n\r\t\v\\\101\x41\x4g\q\.` + "\n", []string{}},
		{"all escapes", text("a"), `\b\f\n\r\t\v\\\101\x41\x4g\q` + "\n", []string{
			`"\\b\\f\\n\\r\\t\\v\\\\\\101\\x41\\x4g\\q\n" line 1 (+1) "\b\f\n\r\t\v\\AA\x04gq" `}},
		{"newline behind backslash", text("a"), "a\\\nb\nc", []string{`"a\\\nb\n" line 1 (+1) "a\nb" `, `"c" line 2 (+1) "c" `}},
		{"crlf", text("a"), "a\r\nb\r\n", []string{`"a\r\n" line 1 (+1) "a" `, `"b\r\n" line 2 (+1) "b" `}},
		{"cr", text("a"), "a\rb\r", []string{`"a\r" line 1 (+1) "a" `, `"b\r" line 2 (+1) "b" `}},
		{"end marker", text("a"), "a\n\\.\nb\n", []string{`"a\n" line 1 (+1) "a" `}},
		{"end marker in a line", text("a"), "a\nb\\.\nb\n", []string{`"a\n" line 1 (+1) "a" `, `"b\\.\n" line 2 (+1) "b" `}},
		{"one of three", some, "1\tx\t3\n", []string{`"1\tx\t3\n" line 1 (+1) "x" `}},
		{"quoted", csv("a", "b"), "\"a\"\"\n\",\"\"\n,x\n", []string{`"\"a\"\"\n\",\"\"\n" line 1 (+1) "a\"\n" "" `, `",x\n" line 2 (+1) null "x" `}},
		{"other characters", odd, "nil|nil\n'nil'|'a\\'b'\n", []string{`"nil|nil\n" line 1 (+1) null "nil" `, `"'nil'|'a\\'b'\n" line 2 (+1) null "a'b" `}},
		{"header", header, "x,y\n1,2\n", []string{`"1,2\n" line 2 (+1) "1" "2" `}},
		{"default", marker, "\\D\t\\N\n", []string{`"\\D\t\\N\n" line 1 (+1) default null `}},
		{"marker as csv data", csv("a"), "\\.x\n\\.\nz\n", []string{`"\\.x\n" line 1 (+1) "\\.x" `}},
		{"lines in quotes", csv("a"), "x\n\"1\n2\"\ny\n", []string{`"x\n" line 1 (+1) "x" `, `"\"1\n2\"\n" line 3 (+2) "1\n2" `, `"y\n" line 4 (+1) "y" `}},
	} {
		got := read(t, c.spec, []byte(c.data), nil)
		if c.name == "escapes" {
			if len(got.rows) != 1 || !strings.Contains(got.rows[0], `gq"`) {
				t.Errorf("%s: %v %s", c.name, got.rows, got.err)
			}
			continue
		}
		if got.err != "" || !slices.Equal(got.rows, c.want) {
			t.Errorf("%s: got %q %s\nwant %q", c.name, got.rows, got.err, c.want)
		}
	}
}

// TestEndMarkerOfVersion18 has what changed there; TestServerAgrees covers the server at hand.
func TestEndMarkerOfVersion18(t *testing.T) {
	for _, c := range []struct {
		spec      Spec
		data, err string
		rows      int
	}{
		{text("a"), "a\n\\.\nb\n", "", 1},
		{text("a"), "a\\.\nb\n", "end-of-copy marker is not alone on its line (SQLSTATE 22P04) (COPY t, line 1)", 0},
		{text("a"), "a\n\\.x\n", "end-of-copy marker is not alone on its line (SQLSTATE 22P04) (COPY t, line 2)", 1},
		{text("a"), "a\n\\.", "end-of-copy marker is not alone on its line (SQLSTATE 22P04) (COPY t, line 2)", 1},
		{text("a"), "a\r\n\\.\n", "end-of-copy marker does not match previous newline style (SQLSTATE 22P04) (COPY t, line 2)", 1},
		{csv("a"), "a\n\\.\nb\n", "", 3},
	} {
		c.spec.ServerMajor = 18
		got := read(t, c.spec, []byte(c.data), nil)
		if len(got.rows) != c.rows || strings.TrimPrefix(got.err, "ERROR: ") != c.err {
			t.Errorf("%q: %q %s", c.data, got.rows, got.err)
		}
	}
}

func TestRowLimit(t *testing.T) {
	for _, spec := range []Spec{text("a"), csv("a")} {
		spec.MaxRow = 1000
		data := []byte("\"" + strings.Repeat("x", 5000))
		cuts := []int{}
		for i := 100; i < len(data); i += 100 {
			cuts = append(cuts, i)
		}
		for _, c := range [][]int{nil, cuts} {
			if got := read(t, spec, append(data, "\"\n"...), c); !strings.Contains(got.err, pgerr.ProgramLimitExceeded) {
				t.Errorf("got %v", got.err)
			}
		}
	}
	spec := binarySpec("a")
	spec.MaxRow = 1000
	data := append(binaryStart(), 0, 1, 0x7f, 0xff, 0xff, 0xff)
	if got := read(t, spec, data, nil); !strings.Contains(got.err, pgerr.ProgramLimitExceeded) {
		t.Errorf("got %v", got.err)
	}
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	spec := text("a")
	spec.Format.Encoding = "SJIS"
	var e *pgerr.Error
	if _, err := NewReader(spec); !errors.As(err, &e) || e.Code != pgerr.FeatureNotSupported {
		t.Errorf("got %v", err)
	}
	spec.Format.Encoding = "utf-8"
	if _, err := NewReader(spec); err != nil {
		t.Error(err)
	}
}

// TestCutsDoNotMatter reads random data whole and in random pieces.
func TestCutsDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		spec, data := randomStream(r)
		whole := read(t, spec, data, nil)
		pieces := read(t, spec, data, randomCuts(r, len(data)))
		if fmt.Sprint(whole) != fmt.Sprint(pieces) {
			t.Fatalf("%+v %q:\nwhole  %v\npieces %v", spec.Format, data, whole, pieces)
		}
	}
}

func randomCuts(r *rand.Rand, n int) []int {
	var cuts []int
	for range r.IntN(10) {
		cuts = append(cuts, r.IntN(n+1))
	}
	slices.Sort(cuts)
	return cuts
}

var (
	textPieces = strings.Split("a b abc \\N \\. \\\\ \\n \\t \\x41 \\101 \\7 \\x \\q \\ é 0", " ")
	csvPieces  = strings.Split("a b abc \" \"\" \"x\" ' \\ \\. \\' é 0 NULL", " ")
)

// randomStream makes a format and data that mostly suits it.
func randomStream(r *rand.Rand) (Spec, []byte) {
	spec := text("a", "b", "c")
	pieces := textPieces
	if r.IntN(2) == 0 {
		pieces = csvPieces
		spec = csv("a", "b", "c")
		if r.IntN(3) == 0 {
			spec.Format.Quote = '\''
		}
		if r.IntN(3) == 0 {
			spec.Format.Escape = '\\'
		}
		if r.IntN(3) == 0 {
			spec.Format.ForceNull = []string{"a"}
			spec.Format.ForceNotNull = []string{"b"}
		}
		if r.IntN(3) == 0 {
			spec.Format.Null = "NULL"
		}
	}
	if r.IntN(3) == 0 {
		spec.Format.Delimiter = '|'
	}
	spec.Format.Header = r.IntN(4) == 0
	spec.Format.HeaderMatch = r.IntN(8) == 0
	delim := string(withDefaults(spec.Format).Delimiter)
	end := []string{"\n", "\n", "\r\n", "\r"}[r.IntN(4)]
	var b strings.Builder
	if spec.Format.HeaderMatch && r.IntN(4) != 0 {
		b.WriteString(strings.Join(spec.Columns, delim) + end)
	}
	for range r.IntN(6) {
		fields := 3
		if r.IntN(12) == 0 {
			fields = 1 + r.IntN(4)
		}
		for i := range fields {
			if i > 0 {
				b.WriteString(delim)
			}
			for range r.IntN(3) {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
		}
		if r.IntN(20) == 0 {
			b.WriteString([]string{"\n", "\r\n", "\r"}[r.IntN(3)])
		}
		b.WriteString(end)
	}
	data := b.String()
	if r.IntN(5) == 0 {
		data = strings.TrimRight(data, "\r\n")
	}
	return spec, []byte(data)
}

func BenchmarkText(b *testing.B) {
	spec := text("a", "b", "c")
	spec.Want = []int{0}
	chunk := []byte(strings.Repeat("12345\tsome text of a row\t{\"a\": 1, \"b\": [1, 2, 3]}\n", 1000))
	r, err := NewReader(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		r.Feed(chunk)
		for {
			_, ok, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
		}
	}
}
