package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Module is the import path of the module's root.
const Module = "muniment.dev"

// A Tree is the files of a checkout, read once.
type Tree struct {
	Files []*File
	sys   fs.FS
	fset  *token.FileSet
}

// A File is one file of the tree.
type File struct {
	Path      string // from the root, with slashes
	Body      []byte
	Generated bool
	Nested    bool      // in another module, such as tools/lint
	Go        *ast.File // nil unless it is Go and parses
}

// generatedHeader is what `go help generate` prescribes.
var generatedHeader = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// Load reads the tree under sys, passing over what git ignores. A Go file that
// does not parse is kept without its syntax: the compiler says what is wrong.
func Load(sys fs.FS) (*Tree, error) {
	t := &Tree{sys: sys, fset: token.NewFileSet()}
	var nested []string
	err := fs.WalkDir(sys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if ignored(p) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(sys, path.Join(p, "go.mod")); err == nil && p != "." {
				nested = append(nested, p+"/")
			}
			return nil
		}
		if !d.Type().IsRegular() || p == ".git" { // of a linked working tree
			return nil
		}
		body, err := fs.ReadFile(sys, p)
		if err != nil {
			return fmt.Errorf("rules: %w", err)
		}
		t.add(p, body, nested)
		return nil
	})
	return t, err
}

func (t *Tree) add(p string, body []byte, nested []string) {
	f := &File{Path: p, Body: body}
	f.Generated = strings.Contains("/"+p, "/gen/") || generatedHeader.Match(body)
	for _, folder := range nested {
		f.Nested = f.Nested || strings.HasPrefix(p, folder)
	}
	if path.Ext(p) == ".go" && !strings.Contains("/"+p, "/testdata/") {
		parsed, err := parser.ParseFile(t.fset, p, body, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil {
			f.Go = parsed
		}
	}
	t.Files = append(t.Files, f)
}

// ignored are the folders of .gitignore, and git's own.
func ignored(folder string) bool {
	switch folder {
	case ".git", ".cache", "bin", "dist", "data":
		return true
	}
	return path.Base(folder) == "node_modules"
}

// Folder is the file's package, as a path from the root.
func (f *File) Folder() string { return path.Dir(f.Path) }

// Test tells whether the file is part of the tests only.
func (f *File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// lines splits the file, without line ends.
func (f *File) lines() []string {
	return strings.Split(strings.TrimSuffix(string(f.Body), "\n"), "\n")
}

// code tells whether people write and read the file as code.
func (f *File) code() bool {
	if f.Generated || strings.Contains("/"+f.Path, "/testdata/") {
		return false
	}
	switch path.Ext(f.Path) {
	case ".go", ".proto", ".html", ".tmpl", ".css", ".js", ".ts", ".sql", ".sh", ".yaml":
		return true
	}
	return path.Base(f.Path) == "Makefile" || bytes.HasPrefix(f.Body, []byte("#!"))
}

// product lists the Go files of the module that are part of what is built.
func (t *Tree) product() []*File {
	var files []*File
	for _, f := range t.Files {
		if f.Go != nil && !f.Nested && !f.Test() {
			files = append(files, f)
		}
	}
	return files
}

// find is the file of that path, or nil.
func (t *Tree) find(p string) *File {
	for _, f := range t.Files {
		if f.Path == p {
			return f
		}
	}
	return nil
}

// exists tells whether there is a file or folder of that path.
func (t *Tree) exists(p string) bool {
	if p == "." {
		return true
	}
	_, err := fs.Stat(t.sys, p)
	return err == nil
}

// line is the number of the line that a node begins on.
func (t *Tree) line(n ast.Node) int { return t.fset.Position(n.Pos()).Line }
