package router

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pleiad/pleiad/internal/devcluster"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// TestAverageOfPartsIsTheAverage cuts random numbers into parts, some of them empty, and holds what CombineSQL makes of
// the parts' sums and counts against PostgreSQL's avg over all: the same text, scale included.
func TestAverageOfPartsIsTheAverage(t *testing.T) {
	c := devcluster.ForTest(t, devcluster.Options{Backends: 1, Fast: true})
	conn, err := pgconn.Connect(t.Context(), c.Primaries()[0].DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	r := rand.New(rand.NewPCG(3, 5))
	kinds := map[string]func() string{
		"int2": func() string { return fmt.Sprint(r.IntN(65536) - 32768) },
		"int4": func() string { return fmt.Sprint(int32(r.Uint32())) },
		"int8": func() string { return fmt.Sprint(int64(r.Uint64())) },
		"numeric": func() string {
			switch r.IntN(40) {
			case 0:
				return []string{"NaN", "Infinity", "-Infinity"}[r.IntN(3)]
			case 1:
				return fmt.Sprintf("%de%d", r.IntN(100), r.IntN(60)-30)
			}
			return fmt.Sprintf("%.*f", r.IntN(12), r.NormFloat64()*float64(int64(1)<<r.IntN(40)))
		},
	}
	list := []Combine{{Name: "avg", Pieces: []CombinePiece{{Func: combineAvg}}}, {Name: "sum", Pieces: []CombinePiece{{Func: "sum"}, {Text: "::text || 'x'"}}}}
	for kind, value := range kinds {
		for range 150 {
			var all []string
			var parts [][][]byte
			var names []string
			var types []uint32
			for range 3 {
				var part []string
				for range r.IntN(6) {
					v := "'" + value() + "'"
					if r.IntN(8) == 0 {
						v = "NULL"
					}
					part = append(part, "("+v+"::"+kind+")")
				}
				all = append(all, part...)
				res := answer(t, conn, "SELECT sum(x), count(x) FROM "+valuesOf(part, kind))
				parts = append(parts, res.Rows...)
				names, types = []string{partialName + "1", partialName + "2"}, []uint32{res.FieldDescriptions[0].DataTypeOID, res.FieldDescriptions[1].DataTypeOID}
			}
			sql, e := CombineSQL(list, names, types, parts)
			if e != nil {
				t.Fatal(e)
			}
			got, want := answer(t, conn, sql), answer(t, conn, "SELECT avg(x), sum(x)::text || 'x' AS sum FROM "+valuesOf(all, kind))
			for i := range want.FieldDescriptions {
				g, w := got.FieldDescriptions[i], want.FieldDescriptions[i]
				if string(got.Rows[0][i]) != string(want.Rows[0][i]) || (got.Rows[0][i] == nil) != (want.Rows[0][i] == nil) || g.DataTypeOID != w.DataTypeOID || g.Name != w.Name {
					t.Fatalf("%s of %v is %s, not %s", w.Name, all, got.Rows[0][i], want.Rows[0][i])
				}
			}
		}
	}
}

func valuesOf(list []string, kind string) string {
	return "(VALUES " + strings.Join(append(list, "(NULL::"+kind+")"), ", ") + ") v (x)"
}

func answer(t *testing.T, conn *pgconn.PgConn, sql string) *pgconn.Result {
	t.Helper()
	res, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return res[0]
}

func TestCombineRefusesWhatIsNotExact(t *testing.T) {
	piece := func(f string) []Combine { return []Combine{{Name: "x", Pieces: []CombinePiece{{Func: f}}}} }
	for _, c := range []struct {
		list  []Combine
		types []uint32
		ok    bool
	}{
		{piece("sum"), []uint32{20}, true}, {piece("sum"), []uint32{701}, false}, {piece("max"), []uint32{701}, true},
		{piece("max"), []uint32{25}, false}, {piece("max"), []uint32{16999}, false}, {piece("sum"), []uint32{20, 20}, false},
		{piece(combineAvg), []uint32{1700, 20}, true}, {piece(combineAvg), []uint32{1186, 20}, false},
		{piece(combineAvg), []uint32{701, 20}, false}, {piece(combineAvg), []uint32{1700}, false}, {piece(combineAvg), []uint32{20, 1700}, false},
	} {
		names := []string{partialName + "1", partialName + "2"}[:len(c.types)]
		_, e := CombineSQL(c.list, names, c.types, [][][]byte{make([][]byte, len(c.types))})
		if (e == nil) != c.ok || e != nil && e.Code != pgerr.FeatureNotSupported && e.Code != pgerr.InternalError {
			t.Errorf("%+v of types %v: %v", c.list, c.types, e)
		}
	}
	// The client's own target list in place of the partial columns.
	if _, e := CombineSQL(piece(combineAvg), []string{"avg", "count"}, []uint32{1700, 20}, nil); e == nil {
		t.Error("other columns than those asked for are combined")
	}
}
