package pleiad_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 80 // less than
)

// goFile is one parsed file of the module.
type goFile struct {
	path  string
	test  bool
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

// notSource are directories whose files are not this project's.
var notSource = map[string]bool{".git": true, ".tools": true, ".pleiad": true, "bin": true, "node_modules": true}

// goFiles parses the Go files under dir; with a package's directory only those of that package.
func goFiles(t *testing.T, pkg string) []*goFile {
	t.Helper()
	var out []*goFile
	walk(t, func(path string, data []byte) {
		if !strings.HasSuffix(path, ".go") || pkg != "" && filepath.Dir(path) != filepath.FromSlash(pkg) {
			return
		}
		f := &goFile{path: path, test: strings.HasSuffix(path, "_test.go"), lines: bytes.Count(data, []byte("\n")), fset: token.NewFileSet()}
		var err error
		if f.ast, err = parser.ParseFile(f.fset, path, data, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	})
	if len(out) == 0 {
		t.Fatalf("no Go files in %q", pkg)
	}
	return out
}

// walk calls f with each file of the source tree.
func walk(t *testing.T, f func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && notSource[d.Name()]:
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *goFile) at(p token.Pos) string { return fmt.Sprintf("%s:%d", f.path, f.fset.Position(p).Line) }

// goroutines are the places of go statements.
func (f *goFile) goroutines() (at []string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			at = append(at, f.at(g.Pos()))
		}
		return true
	})
	return at
}

func TestFilesAndFunctionsAreSmall(t *testing.T) {
	for _, f := range goFiles(t, "") {
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines; the ceiling is %d", f.path, f.lines, maxFileLines)
		}
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n >= maxFunctionLines {
				t.Errorf("%s: %s has %d lines; it must have less than %d", f.at(fn.Pos()), fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// unfinished finds the marks of work put off. It is put together so that this file has none.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func TestNothingIsLeftUnfinished(t *testing.T) {
	files := 0
	walk(t, func(path string, data []byte) {
		if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
			return
		}
		files++
		for i, line := range strings.Split(string(data), "\n") {
			if unfinished.MatchString(line) {
				t.Errorf("%s:%d: %s", path, i+1, strings.TrimSpace(line))
			}
		}
	})
	if files < 100 {
		t.Errorf("read %d files only", files)
	}
}

const codesFile = "internal/pgerr/codes.go"

// codes are the constants of the table of SQLSTATEs, by name.
func codes(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range goFiles(t, "internal/pgerr") {
		if filepath.ToSlash(f.path) != codesFile {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if len(v.Names) != 1 || len(v.Values) != 1 {
					t.Fatalf("%s: write one name and one value a line", f.at(v.Pos()))
				}
				code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out[v.Names[0].Name] = code
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no constants", codesFile)
	}
	return out
}

var sqlstate = regexp.MustCompile(`^[0-9A-Z]{5}$`)

func TestSQLSTATEsAreUniqueAndUsed(t *testing.T) {
	table := codes(t)
	byCode := map[string]string{}
	for name, code := range table {
		if !sqlstate.MatchString(code) {
			t.Errorf("%s = %q is no SQLSTATE", name, code)
		}
		if other, taken := byCode[code]; taken {
			t.Errorf("%s and %s are both %s", name, other, code)
		}
		byCode[code] = name
	}
	used := map[string]bool{}
	for _, f := range goFiles(t, "") {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "pgerr" {
					used[n.Sel.Name] = true
				}
			case *ast.CallExpr:
				f.checkCode(t, n, byCode)
			}
			return true
		})
	}
	for name, code := range table {
		if !used[name] {
			t.Errorf("%s (%s) is used nowhere", name, code)
		}
	}
}

// checkCode finds errors whose SQLSTATE is written out instead of coming from the table.
func (f *goFile) checkCode(t *testing.T, call *ast.CallExpr, byCode map[string]string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	x, ok := sel.X.(*ast.Ident)
	lit, isLit := call.Args[0].(*ast.BasicLit)
	if !ok || x.Name != "pgerr" || sel.Sel.Name != "New" && sel.Sel.Name != "Fatal" || !isLit {
		return
	}
	name := byCode[strings.Trim(lit.Value, `"`)]
	if name == "" {
		name = "a constant of " + codesFile
	}
	t.Errorf("%s: write %s instead of %s", f.at(lit.Pos()), name, lit.Value)
}
