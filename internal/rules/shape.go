package rules

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// longest is the limit of lines of a file that people write.
const longest = 500

// checkLength finds files that are several rooms in one.
func checkLength(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		if !f.code() {
			continue
		}
		if n := len(f.lines()); n > longest {
			problems = append(problems, Problem{f.Path, 0, fmt.Sprintf("%d lines, the limit is %d: it holds more than one capability", n, longest)})
		}
	}
	return problems
}

// checkPackageComments wants a sentence that begins as Go's own do: "Package x"
// or, for a program, "Command x".
func checkPackageComments(t *Tree) []Problem {
	said := map[string]bool{}
	for _, f := range t.product() {
		if f.Generated {
			continue
		}
		folder := f.Folder()
		begins := "Package " + f.Go.Name.Name + " "
		if f.Go.Name.Name == "main" {
			begins = "Command " + path.Base(folder) + " "
		}
		said[folder] = said[folder] || strings.HasPrefix(f.Go.Doc.Text(), begins)
	}
	var problems []Problem
	for _, folder := range slices.Sorted(maps.Keys(said)) {
		if !said[folder] {
			problems = append(problems, Problem{folder, 0, "no package comment: say what it is, what it promises and what it does not"})
		}
	}
	return problems
}

// The mark of what is not done yet, as `TO` + `DO(name)`; others are not used.
var (
	laterMark  = regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b(?:\(([a-z0-9-]+)\))?`)
	limitsPath = "docs/limits.md"
)

// checkLater wants each mark to name a line of docs/limits.md, so that a user
// learns what waits from the documents and not from the source.
func checkLater(t *Tree) []Problem {
	var limits string
	if f := t.find(limitsPath); f != nil {
		limits = string(f.Body)
	}
	var problems []Problem
	for _, f := range t.Files {
		if !f.code() {
			continue
		}
		for i, line := range f.lines() {
			for _, m := range laterMark.FindAllStringSubmatch(line, -1) {
				if m[1] == "" {
					problems = append(problems, Problem{f.Path, i + 1, m[0] + " without a name: write it as TO" + "DO(name), and the name in " + limitsPath})
				} else if !strings.Contains(limits, "`"+m[1]+"`") {
					problems = append(problems, Problem{f.Path, i + 1, "`" + m[1] + "` is not in " + limitsPath})
				}
			}
		}
	}
	return problems
}

// Tests that internal/check runs in a phase of their own, by how their names
// begin.
const (
	conformance = "TestConformance" // whatever calls logtest.Run
	inBrowser   = "TestBrowser"     // every test of a file that imports internal/browser
)

// checkPhases keeps tests from being run in the wrong phase, where they would
// be skipped in silence or be taken for others.
func checkPhases(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		if f.Go == nil || !f.Test() {
			continue
		}
		browses := slices.ContainsFunc(f.Go.Imports, func(s *ast.ImportSpec) bool {
			return importPath(s) == Module+"/internal/browser"
		})
		for _, fn := range tests(f.Go) {
			begins := ""
			switch {
			case browses:
				begins = inBrowser
			case calls(fn, "logtest.Run"):
				begins = conformance
			}
			if !strings.HasPrefix(fn.Name.Name, begins) {
				problems = append(problems, Problem{f.Path, t.line(fn), fmt.Sprintf("the name of %s must begin with %s, the phase that runs it", fn.Name.Name, begins)})
			}
		}
	}
	return problems
}

// tests are the test functions of a file.
func tests(file *ast.File) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Recv == nil && fn.Body != nil && fn.Name.Name != "TestMain" && strings.HasPrefix(fn.Name.Name, "Test") {
			found = append(found, fn)
		}
	}
	return found
}

// calls tells whether a function's own body names x.y.
func calls(fn *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		found = found || selector(n) == name
		return !found
	})
	return found
}

// selector writes x.y as text; it is empty for anything else.
func selector(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}
