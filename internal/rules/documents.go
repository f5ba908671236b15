package rules

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	scheme  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	mention = regexp.MustCompile(`(?:^|[\s("'` + "`" + `])((?:[\w.-]+/)*[\w.-]+\.md)\b`)
)

// checkLinks follows the links of every document that stay within the tree, to
// the file and to the heading.
func checkLinks(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		if path.Ext(f.Path) != ".md" {
			continue
		}
		for i, line := range prose(f) {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if why := t.follow(f, m[1]); why != "" {
					problems = append(problems, Problem{f.Path, i + 1, fmt.Sprintf("the link %s leads nowhere: %s", m[1], why)})
				}
			}
		}
	}
	return problems
}

// follow says why a link cannot be followed; it is empty if it can, or if it
// leaves the tree.
func (t *Tree) follow(from *File, target string) string {
	if scheme.MatchString(target) {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from.Path
	if file != "" {
		to = path.Join(from.Folder(), file)
		if strings.HasPrefix(file, "/") || strings.HasPrefix(to, "..") {
			return "it leaves the tree"
		}
	}
	if !t.exists(to) {
		return "there is no " + to
	}
	if anchor == "" {
		return ""
	}
	page := t.find(to)
	if page == nil {
		return to + " has no headings"
	}
	for _, line := range prose(page) {
		if m := heading.FindStringSubmatch(line); m != nil && slug(m[1]) == anchor {
			return ""
		}
	}
	return fmt.Sprintf("%s has no heading #%s", to, anchor)
}

// prose is the lines of a document with code blocks emptied.
func prose(f *File) []string {
	lines := f.lines()
	inCode := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			inCode = !inCode
		}
		if inCode || fence {
			lines[i] = ""
		}
	}
	return lines
}

// slug is the anchor that the usual forges give a heading.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// checkMentions wants the documents that code speaks of to exist, as a path
// from the root or from the file's own folder.
func checkMentions(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		if !f.code() || strings.HasPrefix(f.Path, "internal/rules/") || strings.HasPrefix(f.Path, "internal/check/") {
			continue
		}
		for i, line := range f.lines() {
			for _, m := range mention.FindAllStringSubmatch(line, -1) {
				if !t.exists(path.Clean(m[1])) && !t.exists(path.Join(f.Folder(), m[1])) {
					problems = append(problems, Problem{f.Path, i + 1, "names " + m[1] + ", which does not exist"})
				}
			}
		}
	}
	return problems
}

var (
	decisionName = regexp.MustCompile(`^docs/adr/(\d{4})-[a-z0-9-]+\.md$`)
	// What each decision must say, whatever else it says.
	decisionParts = []string{"## Context", "## Decision", "## What it costs"}
)

// checkDecisions keeps the decisions in order, so that a number means one.
func checkDecisions(t *Tree) []Problem {
	var problems []Problem
	taken := map[string]string{}
	for _, f := range t.Files {
		if f.Folder() != "docs/adr" || path.Base(f.Path) == "README.md" {
			continue
		}
		m := decisionName.FindStringSubmatch(f.Path)
		if m == nil {
			problems = append(problems, Problem{f.Path, 0, "a decision is named NNNN-title.md"})
			continue
		}
		if other := taken[m[1]]; other != "" {
			problems = append(problems, Problem{f.Path, 0, "its number is that of " + other})
		}
		taken[m[1]] = f.Path
		for _, part := range decisionParts {
			if !strings.Contains(string(f.Body), "\n"+part+"\n") {
				problems = append(problems, Problem{f.Path, 0, "no section " + part})
			}
		}
	}
	return problems
}
