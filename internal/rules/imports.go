package rules

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// checkImports holds every import between our packages against the table.
func checkImports(t *Tree) []Problem {
	table, err := readLattice(lattice)
	if err != nil {
		return []Problem{{"internal/rules/lattice.go", 0, err.Error()}}
	}
	return t.importsAgainst(table)
}

func (t *Tree) importsAgainst(table table) []Problem {
	var problems []Problem
	unknown := map[string]bool{}
	for _, f := range t.product() {
		folder := f.Folder()
		if table[folder] == nil {
			if !unknown[folder] {
				problems = append(problems, Problem{folder, 0, "the import table does not know this package: give it a place in internal/rules/lattice.go"})
			}
			unknown[folder] = true
			continue
		}
		for _, spec := range f.Go.Imports {
			to, ours := within(spec)
			if !ours || table[folder][to] {
				continue
			}
			problems = append(problems, Problem{f.Path, t.line(spec), fmt.Sprintf("%s may not import %s (internal/rules/lattice.go)", folder, to)})
		}
	}
	return problems
}

// within is the folder that an import names, if it is one of ours.
func within(spec *ast.ImportSpec) (folder string, ours bool) {
	p := importPath(spec)
	if p == Module {
		return ".", true
	}
	return strings.CutPrefix(p, Module+"/")
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return p
}

// What a slice would need to do something itself, rather than to decide. Its
// commands bring the time, the random and the hashed instead.
var (
	impure = []string{"net", "net/http", "database/sql", "os", "os/exec", "crypto/rand", "math/rand", "math/rand/v2", "syscall"}
	clock  = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
)

// checkPurity looks at the direct imports and calls of the slices' own
// packages, not at their adapters.
func checkPurity(t *Tree) []Problem {
	table, err := readLattice(lattice)
	if err != nil {
		return nil // checkImports says it
	}
	all := table.slicesOf()
	var problems []Problem
	for _, f := range t.product() {
		if !slices.Contains(all, f.Folder()) {
			continue
		}
		timeName := ""
		for _, spec := range f.Go.Imports {
			p := importPath(spec)
			if slices.Contains(impure, p) {
				problems = append(problems, Problem{f.Path, t.line(spec), "a slice may not import " + p + ": let the command bring what is needed, or move it to the slice's adapter"})
			}
			if p == "time" {
				timeName = "time"
				if spec.Name != nil {
					timeName = spec.Name.Name
				}
			}
		}
		problems = append(problems, t.clockCalls(f, timeName)...)
	}
	return problems
}

// clockCalls finds uses of the clock under the name that the file gives to
// package time.
func (t *Tree) clockCalls(f *File, timeName string) []Problem {
	if timeName == "" {
		return nil
	}
	var problems []Problem
	ast.Inspect(f.Go, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == timeName && slices.Contains(clock, sel.Sel.Name) {
			problems = append(problems, Problem{f.Path, t.line(sel), "a slice may not ask the clock (time." + sel.Sel.Name + "): the command brings the time"})
		}
		return true
	})
	return problems
}
