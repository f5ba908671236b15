package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

const dependencyList = "docs/adr/0001-dependencies.md"

// checkDependencies wants every module that our code imports, and every other
// that go.mod requires directly, in the list of dependencies with its version;
// and no module there that is not required.
func checkDependencies(t *Tree) []Problem {
	mod := t.find("go.mod")
	if mod == nil {
		return []Problem{{"go.mod", 0, "there is none"}}
	}
	parsed, err := modfile.Parse("go.mod", mod.Body, nil)
	if err != nil {
		return []Problem{{"go.mod", 0, err.Error()}}
	}
	required := map[string]string{} // module → version
	direct := map[string]bool{}
	for _, r := range parsed.Require {
		required[r.Mod.Path] = r.Mod.Version
		if !r.Indirect {
			direct[r.Mod.Path] = true
		}
	}
	for _, f := range t.Files {
		if f.Go == nil || f.Nested {
			continue
		}
		for _, spec := range f.Go.Imports {
			if m := moduleOf(importPath(spec), required); m != "" {
				direct[m] = true
			}
		}
	}

	listed := listedDependencies(t)
	var problems []Problem
	for _, m := range slices.Sorted(maps.Keys(direct)) {
		if listed[m] != required[m] {
			problems = append(problems, Problem{dependencyList, 0, fmt.Sprintf("%s is required at %s, the list says %q", m, required[m], listed[m])})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(listed)) {
		if required[m] == "" {
			problems = append(problems, Problem{dependencyList, 0, m + " is listed, but go.mod does not require it"})
		}
	}
	return problems
}

// moduleOf is the required module that an import path lies in, or empty.
func moduleOf(importPath string, required map[string]string) string {
	longest := ""
	for m := range required {
		if (importPath == m || strings.HasPrefix(importPath, m+"/")) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}

// listedDependencies reads the rows of the list: | `module` | version | …
func listedDependencies(t *Tree) map[string]string {
	listed := map[string]string{}
	f := t.find(dependencyList)
	if f == nil {
		return listed
	}
	for _, line := range f.lines() {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		name := strings.TrimSpace(cells[1])
		if len(name) > 2 && strings.HasPrefix(name, "`") && strings.Contains(name, ".") {
			listed[strings.Trim(name, "`")] = strings.TrimSpace(cells[2])
		}
	}
	return listed
}
