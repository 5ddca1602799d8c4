package pleiad_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// runningFamily is the family of what only shows while a statement runs: the planner's golden files cannot have it.
const runningFamily = "while a statement runs"

// postgresOwn are PostgreSQL's own errors among those that pleiad raises.
var postgresOwn = map[string]bool{
	"cached plan must not change result type": true, "unsupported frontend protocol … server supports 3.0 to 3.2": true, "…": true,
}

var verb = regexp.MustCompile(`"?%[a-z](\.%[a-z])?"?:?`)

// sourceRefusals are the messages and hints of what proxy and internal refuse, as their source has them.
func sourceRefusals(t *testing.T) (all []refused) {
	t.Helper()
	for _, root := range []string{"proxy", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			all = append(all, refusalsOf(t, path, file)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(all, func(x, y refused) int { return strings.Compare(x.message+x.hint, y.message+y.hint) })
	all = slices.Compact(all)
	if len(all) < 20 {
		t.Fatalf("the source has %d refusals only", len(all))
	}
	return all
}

func refusalsOf(t *testing.T, path string, file *ast.File) (all []refused) {
	t.Helper()
	hints := map[*ast.CallExpr]string{} // by the call of New
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fn, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if inner, ok := fn.X.(*ast.CallExpr); ok && fn.Sel.Name == "WithHint" {
			hints[inner] = text(call.Args[0])
		}
		code, ok := ast.Node(nil), false
		if (fn.Sel.Name == "New" || fn.Sel.Name == "Fatal") && len(call.Args) > 1 {
			code, ok = call.Args[0], true
		}
		if sel, is := code.(*ast.SelectorExpr); !ok || !is || sel.Sel.Name != "FeatureNotSupported" {
			return true
		}
		message := strings.TrimSpace(verb.ReplaceAllString(text(call.Args[1]), "…"))
		if postgresOwn[message] {
			return true
		}
		if hints[call] == "" {
			t.Errorf("%s refuses without a hint: %s", path, message)
		}
		all = append(all, refused{family: runningFamily, code: "0A000", message: message, hint: hints[call]})
		return true
	})
	return all
}

// text is a string constant's value; "" for every other expression.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
