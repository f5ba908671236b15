package event

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Normalize returns the form of a text under which it is searched: NFKC and,
// if fold, full case folding that depends on no language, after which texts
// that people take for the same, such as "ＡＤＡ" and "ada", are the same
// (Unicode 15.0 §3.13, toNFKC_Casefold, but ignorable code points stay). The
// form of a form is itself. Blind tags are made of it, so it never changes for
// code points that Unicode 15.0 assigns; docs/record-format.md has it too.
func Normalize(text string, fold bool) string {
	if isASCII(text) { // where NFKC changes nothing, and folding is lower case
		if fold {
			return strings.ToLower(text)
		}
		return text
	}
	text = norm.NFKC.String(text)
	if fold {
		text = norm.NFKC.String(cases.Fold().String(strings.Map(lowerCherokee, text)))
	}
	return text
}

// lowerCherokee returns the small letter of a Cherokee one. Cherokee folds to
// capitals (Unicode 15.0 §5.18), but cases.Fold exchanges the two instead: what
// it gets is small, so what it gives is capital.
func lowerCherokee(r rune) rune {
	switch {
	case 0x13A0 <= r && r <= 0x13EF:
		return r - 0x13A0 + 0xAB70
	case 0x13F0 <= r && r <= 0x13F5:
		return r - 0x13F0 + 0x13F8
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
