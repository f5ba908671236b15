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

// reserved are the calls that make a test one of a phase of its own, and the
// name that the phase finds it by (internal/check).
var reserved = map[string]string{
	"logtest.Run":   "TestConformance",
	"browser.Start": "TestBrowser",
}

// checkPhases keeps tests from being run in no phase, or in the wrong one.
func checkPhases(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		if f.Go == nil || !f.Test() {
			continue
		}
		for _, d := range f.Go.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if begins := reserved[selector(n)]; begins != "" && !strings.HasPrefix(fn.Name.Name, begins) {
					problems = append(problems, Problem{f.Path, t.line(fn), fmt.Sprintf("%s calls %s, so its name must begin with %s", fn.Name.Name, selector(n), begins)})
				}
				return true
			})
		}
	}
	return problems
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
