// Package rules holds the rules of the house as checks on the source tree: who
// may import whom, what a slice may not do, how long a file may be, what must
// be written down and what must never be.
//
// The checks read and parse the files themselves. A test that asked a child
// process instead would be cached by go test, which cannot see what a child
// reads. Each rule is also tried on a small tree that breaks it.
package rules

import "fmt"

// A Rule finds the places in a tree that break it.
type Rule struct {
	Name  string
	Says  string // the rule as a sentence
	Check func(*Tree) []Problem
}

// A Problem is one place that breaks a rule.
type Problem struct {
	Path string // of the file or folder, from the root
	Line int    // from 1; 0 if the whole file is meant
	Text string // what is wrong, and what to do
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Path, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

// All are the rules of the house.
func All() []Rule {
	return []Rule{
		{"imports", "imports point one way, as the table says", checkImports},
		{"purity", "a slice's own package decides and does nothing else", checkPurity},
		{"comments", "every package says what it is", checkPackageComments},
		{"length", "a file is one room: 500 lines at most", checkLength},
		{"words", "the sources speak of the project only, and hold no credentials", checkWords},
		{"later", "what waits is said in docs/limits.md", checkLater},
		{"links", "every link in the documents leads somewhere", checkLinks},
		{"mentions", "every document that a comment names exists", checkMentions},
		{"decisions", "decisions are numbered once and say context, decision and cost", checkDecisions},
		{"dependencies", "every direct dependency stands in docs/adr/0001-dependencies.md", checkDependencies},
		{"phases", "tests that have a phase of their own carry its name", checkPhases},
	}
}
