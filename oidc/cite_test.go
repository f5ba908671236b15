package oidc

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCited: every section that this package promises to implement is cited
// at the code that does it and at a test that shows it.
func TestCited(t *testing.T) {
	code, tests := cited(t)
	for _, section := range []string{
		"RFC 6749 §2.3.1", "RFC 6749 §3.1", "RFC 6749 §3.1.2", "RFC 6749 §4.1.2", "RFC 6749 §4.1.2.1", "RFC 6749 §5.2",
		"RFC 6750 §3", "RFC 6750 §3.1", "RFC 8252 §7.3", "RFC 6749 §6", "RFC 7009 §2.1", "RFC 7009 §2.2", "RFC 7662 §2.1", "RFC 7662 §2.2", "RFC 8252 §8.6", "RFC 8414 §3", "RFC 8707 §2", "RFC 9068 §2", "RFC 9700 §4.1.3", "RFC 9700 §4.14.2",
		"Core §3.1.2.1", "Core §3.1.2.6", "Core §5.4", "Core §11", "Core §12.2", "Discovery §3", "Logout §2", "Logout §4", "Form Post Response Mode §2", "RFC 9207",
	} {
		if !hasPrefix(code, section) {
			t.Errorf("%s is not cited in the code", section)
		}
		if !hasPrefix(tests, section) {
			t.Errorf("%s is not cited in a test", section)
		}
	}
}

func hasPrefix(all map[string]bool, section string) bool {
	for s := range all {
		if s == section || strings.HasPrefix(s, section+".") || strings.HasPrefix(s, section+" §") {
			return true
		}
	}
	return false
}

// cited collects citations such as "RFC 6749 §5.2", also the second one in
// "RFC 6749 §4.1.2.1, §5.2".
func cited(t *testing.T) (code, tests map[string]bool) {
	code, tests = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	space := regexp.MustCompile(`\s*\n\s*//\s*|\s+`)
	cite := regexp.MustCompile(`(RFC \d+|Core|Discovery|Logout|Form Post Response Mode)(?: 1\.0)?((?:(?:,| and)? §[\d.]*\d)+)`)
	num := regexp.MustCompile(`§[\d.]*\d`)
	for _, f := range files {
		if f == "cite_test.go" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		to := code
		if strings.HasSuffix(f, "_test.go") {
			to = tests
		}
		for _, m := range cite.FindAllStringSubmatch(space.ReplaceAllString(string(b), " "), -1) {
			for _, n := range num.FindAllString(m[2], -1) {
				to[m[1]+" "+n] = true
			}
		}
	}
	return code, tests
}
