package verify

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A stranger can audit a log with this package alone: it imports the standard
// library and the tree and note packages of golang.org/x/mod, nothing else.
func TestImports(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		n++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") && path != "golang.org/x/mod/sumdb/tlog" && path != "golang.org/x/mod/sumdb/note" {
				t.Errorf("%s imports %s", name, path)
			}
			if path == "os" || path == "net" || strings.HasPrefix(path, "net/") {
				t.Errorf("%s imports %s: the verifier opens nothing", name, path)
			}
		}
	}
	if n < 10 {
		t.Errorf("found only %d files", n)
	}
}
