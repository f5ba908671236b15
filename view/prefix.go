package view

import "unicode/utf8"

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
