package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A testFunc is a test or fuzz target found in the sources.
type testFunc struct {
	folder string // as an argument of go test: ./ledger/verify
	name   string // FuzzReceipt
}

// scan finds the functions of the module's test files whose names begin with
// prefix, in the order of their folders. Folders that the go command ignores,
// and other modules, are passed over.
func scan(root, prefix string) ([]testFunc, error) {
	var found []testFunc
	err := walk(root, func(path string) error {
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := "./" + filepath.ToSlash(filepath.Dir(path))
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, prefix) && len(f.Type.Params.List) == 1 {
				found = append(found, testFunc{folder, f.Name.Name})
			}
		}
		return nil
	})
	return found, err
}

// folders lists the folders of tests, each once.
func folders(tests []testFunc) []string {
	var all []string
	for _, t := range tests {
		all = append(all, t.folder)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// walk calls visit with every file of the module, as a path relative to root.
func walk(root string, visit func(path string) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == root {
			return nil
		}
		if d.IsDir() {
			if ignored(d.Name()) || isModule(path) {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(rel)
	})
}

func ignored(folder string) bool {
	return strings.HasPrefix(folder, ".") || strings.HasPrefix(folder, "_") ||
		folder == "testdata" || folder == "node_modules" || folder == "vendor"
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}
