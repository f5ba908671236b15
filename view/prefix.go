package view

import (
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Normalize gives the form in which text is searched by its beginning: case
// folded and in NFKC (Unicode 15 §3.13, toNFKC_Casefold but for ignorable code
// points). Two texts that people take for the same, such as "ＡＤＡ" and "ada",
// have one normal form.
func Normalize(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || 'A' <= s[i] && s[i] <= 'Z' {
			return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
		}
	}
	return s
}

// successor is the least text greater than every text that begins with prefix;
// false if there is none.
func successor(prefix string) (string, bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == 0xD7FF:
			return prefix + "\uE000", true // no surrogates in UTF-8
		case r < utf8.MaxRune:
			return prefix + string(r+1), true
		}
	}
	return "", false
}
