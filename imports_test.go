package pleiad_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pleiad/pleiad/"

// row is what one package may import besides the standard library: packages of this module, and third-party
// packages by their full path. tests are what its tests may import on top of that, and of testLibraries.
type row struct {
	own, third, tests string
	// pure packages decide and never act: no network, clock, chance, environment or goroutine.
	pure bool
}

// importTable has a row for each package. A package without one fails, and so does an entry that nothing uses.
var importTable = map[string]row{
	"bench": {third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn"},
	"cmd/pleiad": {
		own:   "internal/admin internal/config internal/devcluster internal/pgdump internal/preflight proxy rebalancer",
		third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn github.com/vbauerster/mpb/v8 github.com/vbauerster/mpb/v8/decor github.com/prometheus/client_golang/prometheus github.com/prometheus/client_golang/prometheus/collectors github.com/spf13/cobra",
	},
	"integration": {tests: "internal/devcluster github.com/anishathalye/porcupine"},

	"proxy": {
		own: "internal/auth internal/backend internal/cancelkey internal/catalog internal/config internal/copystream " +
			"internal/deadlock internal/executor internal/lsn internal/pgerr internal/plancache internal/standby internal/startup internal/wire router router/shardmap router/sqlparse",
		third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn github.com/jackc/pgx/v5/pgxpool " +
			"github.com/prometheus/client_golang/prometheus golang.org/x/sys/unix",
	},

	"rebalancer": {
		own:   "internal/failpoint internal/pgdump internal/replication rebalancer/balance",
		third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn",
	},
	"rebalancer/balance": {own: "router/shardmap", pure: true},

	"router":          {own: "internal/pgerr router/shardmap router/sqlparse", tests: "internal/devcluster", pure: true},
	"router/shardmap": {third: "github.com/spaolacci/murmur3", pure: true},
	"router/sqlparse": {
		own: "internal/pgerr",
		third: "github.com/pganalyze/pg_query_go/v6 github.com/pganalyze/pg_query_go/v6/parser " +
			"google.golang.org/protobuf/proto google.golang.org/protobuf/reflect/protoreflect",
		tests: "internal/devcluster",
		pure:  true,
	},

	"internal/admin": {
		third: "github.com/prometheus/client_golang/prometheus github.com/prometheus/client_golang/prometheus/promhttp",
	},
	"internal/auth": {
		own: "internal/pgerr internal/startup",
		third: "github.com/jackc/pgx/v5/pgconn github.com/jackc/pgx/v5/pgproto3 github.com/xdg-go/scram " +
			"github.com/xdg-go/stringprep golang.org/x/text/unicode/norm",
	},
	"internal/backend":    {own: "internal/auth internal/pgerr internal/wire"},
	"internal/cancelkey":  {tests: "internal/startup"},
	"internal/catalog":    {own: "router router/shardmap", third: "github.com/jackc/pgx/v5", tests: "internal/auth internal/devcluster"},
	"internal/config":     {third: "gopkg.in/yaml.v3"},
	"internal/copystream": {own: "internal/pgerr router", tests: "internal/devcluster"},
	"internal/deadlock":   {pure: true},
	"internal/devcluster": {third: "github.com/jackc/pgx/v5/pgconn", tests: "internal/config"},
	"internal/executor": {
		own: "internal/backend internal/failpoint internal/pgerr internal/wire router",
		// For the error type alone: what a server said to a login reaches the client as it is.
		third: "github.com/jackc/pgx/v5/pgconn",
		tests: "internal/devcluster",
	},
	"internal/failpoint":   {},
	"internal/lsn":         {pure: true},
	"internal/pgdump":      {third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn"},
	"internal/pgerr":       {pure: true},
	"internal/plancache":   {},
	"internal/preflight":   {own: "internal/config", third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn", tests: "internal/devcluster"},
	"internal/replication": {third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn github.com/jackc/pgx/v5/pgproto3"},
	"internal/standby": {
		own: "internal/lsn", third: "github.com/jackc/pgx/v5 github.com/jackc/pgx/v5/pgconn", tests: "internal/devcluster",
	},
	"internal/startup": {own: "internal/pgerr", third: "github.com/jackc/pgx/v5/pgproto3 golang.org/x/sys/unix"},
	"internal/wire":    {own: "internal/pgerr"},
	"":                 {}, // these tests
}

// testLibraries may be imported by the tests of every package.
var testLibraries = []string{
	"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgproto3",
	"github.com/jackc/pgx/v5/pgtype", "github.com/jackc/pgx/v5/pgxpool", "github.com/lib/pq", "gopkg.in/yaml.v3",
}

// The two paths meet in values of router/shardmap alone: a statement never waits for a move's code, nor the reverse.
var (
	dataPath    = []string{"proxy", "router", "internal/executor", "internal/backend"}
	controlPath = []string{"rebalancer", "internal/replication", "internal/pgdump"}
)

// impure are the standard packages that a pure one does without.
var impure = []string{
	"context", "crypto/rand", "database/sql", "io/fs", "log", "log/slog", "math/rand", "math/rand/v2", "net", "os",
	"runtime", "syscall", "testing", "time", "unsafe",
}

type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

// name is the path within the module, "" for the module itself.
func (p *listedPackage) name() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.ImportPath+"/", module), "/")
}

func listPackages(t *testing.T) []*listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []*listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listedPackage)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// foreign are the imports outside of the standard library, those of this module by their names in it.
func foreign(imports []string) []string {
	var out []string
	for _, i := range imports {
		if first, _, _ := strings.Cut(i, "/"); i == "C" || !strings.Contains(first, ".") {
			continue
		}
		out = append(out, strings.TrimPrefix(i, module))
	}
	return out
}

func TestImportTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		name := p.name()
		seen[name] = true
		r, ok := importTable[name]
		if !ok {
			t.Errorf("package %s has no row in the import table", name)
			continue
		}
		allowed := slices.Concat(strings.Fields(r.own), strings.Fields(r.third))
		imports := foreign(p.Imports)
		for _, i := range imports {
			if !slices.Contains(allowed, i) {
				t.Errorf("%s must not import %s", name, i)
			}
		}
		for _, i := range allowed {
			if !slices.Contains(imports, i) {
				t.Errorf("the table lets %s import %s, which it does not", name, i)
			}
		}
		allowed = slices.Concat(allowed, strings.Fields(r.tests), testLibraries, []string{name})
		for _, i := range foreign(slices.Concat(p.TestImports, p.XTestImports)) {
			if !slices.Contains(allowed, i) {
				t.Errorf("the tests of %s must not import %s", name, i)
			}
		}
	}
	for name := range importTable {
		if !seen[name] {
			t.Errorf("the import table has a row for %q, which is no package", name)
		}
	}
}

// The rules that hold whatever the table says, so that no row breaks them.
func TestImportTableKeepsTheRules(t *testing.T) {
	for name, r := range importTable {
		for _, i := range strings.Fields(r.own) {
			if i == "cmd" || strings.HasPrefix(i, "cmd/") || i == "bench" || i == "integration" {
				t.Errorf("%s: nothing imports %s", name, i)
			}
			if r.pure && !importTable[i].pure {
				t.Errorf("%s is pure and %s is not", name, i)
			}
		}
		if strings.Contains(r.third, "pg_query_go") && name != "router/sqlparse" {
			t.Errorf("%s: only router/sqlparse imports the parser", name)
		}
		if strings.HasPrefix(name, "router") && !r.pure {
			t.Errorf("%s must be pure", name)
		}
	}
}

// crossing lists the packages of the other path that a package of one path depends on, directly or not.
func crossing(name string, deps []string) []string {
	var other []string
	switch {
	case within(name, dataPath):
		other = controlPath
	case within(name, controlPath):
		other = dataPath
	}
	var out []string
	for _, d := range deps {
		if d != "router/shardmap" && within(d, other) {
			out = append(out, d)
		}
	}
	return out
}

func within(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return name == r || strings.HasPrefix(name, r+"/") })
}

func TestDataPathAndControlPathAreApart(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, d := range crossing(p.name(), foreign(p.Deps)) {
			t.Errorf("%s depends on %s, which is on the other path", p.name(), d)
		}
	}
	// What the rule says of packages that cross.
	for name, deps := range map[string][]string{
		"proxy": {"internal/replication"}, "rebalancer": {"router"}, "internal/executor": {"rebalancer/plan"},
	} {
		if got := crossing(name, deps); !slices.Equal(got, deps) {
			t.Errorf("crossing(%q, %q) = %q", name, deps, got)
		}
	}
	for name, deps := range map[string][]string{
		"proxy": {"router", "internal/executor"}, "rebalancer": {"router/shardmap", "internal/catalog"},
	} {
		if got := crossing(name, deps); len(got) > 0 {
			t.Errorf("crossing(%q, %q) = %q", name, deps, got)
		}
	}
}

func TestPurePackages(t *testing.T) {
	pure := maps.Clone(importTable)
	maps.DeleteFunc(pure, func(_ string, r row) bool { return !r.pure })
	for _, p := range listPackages(t) {
		if _, ok := pure[p.name()]; !ok {
			continue
		}
		delete(pure, p.name())
		for _, i := range p.Imports {
			if within(i, impure) {
				t.Errorf("%s is pure and must not import %s", p.name(), i)
			}
		}
		for _, f := range goFiles(t, p.name()) {
			if !f.test {
				for _, at := range f.goroutines() {
					t.Errorf("%s starts a goroutine: %s is pure", at, p.name())
				}
			}
		}
	}
	if len(pure) > 0 {
		t.Errorf("packages that should be pure were not found: %v", slices.Collect(maps.Keys(pure)))
	}
}
