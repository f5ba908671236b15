package event_test

import (
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"muniment.dev/event"
)

// Two spellings that people take for the same have one form, as
// docs/record-format.md says of blind tags; what they tell apart stays apart.
func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		text string
		fold bool
		want string
	}{
		{"", true, ""},
		{"Ada", true, "ada"},
		{"Ada", false, "Ada"},
		{"ＡＤＡ", true, "ada"},
		{"ＡＤＡ", false, "ADA"},
		{"Straße", true, "strasse"},
		{"ﬁ", false, "fi"},
		{"ΣΊΣΥΦΟΣ", true, "σίσυφοσ"},
		{"σίσυφος", true, "σίσυφοσ"},
		{"İ", true, "i\u0307"},
		{"ı", true, "ı"},
		{"e\u0301", true, "é"},
		{"ꭰꮿᏸ", true, "ᎠᏯᏰ"},
		{"ᎠᏯᏰ", true, "ᎠᏯᏰ"},
		{"ꭰ", false, "ꭰ"},
		{"\xff", false, "\xff"},
	} {
		if got := event.Normalize(c.text, c.fold); got != c.want {
			t.Errorf("Normalize(%q, %v) = %q, want %q", c.text, c.fold, got, c.want)
		}
	}
}

// Every code point has the form of the others that differ from it only in
// case, and that form is its own.
func TestNormalizeEveryRune(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xD800 <= r && r <= 0xDFFF {
			continue
		}
		form := event.Normalize(string(r), true)
		if again := event.Normalize(form, true); again != form {
			t.Errorf("%U becomes %+q and then %+q", r, form, again)
		}
		if other := event.Normalize(string(unicode.SimpleFold(r)), true); other != form {
			t.Errorf("%U becomes %+q, but %U becomes %+q", r, form, unicode.SimpleFold(r), other)
		}
	}
}

// The tables are those that stored blind tags were made with. A library with
// newer ones needs a decision: what they assign anew may fold differently.
func TestUnicodeIsPinned(t *testing.T) {
	if norm.Version != "15.0.0" || cases.UnicodeVersion != "15.0.0" {
		t.Errorf("Unicode %s for NFKC, %s for folding; blind tags are made with 15.0.0", norm.Version, cases.UnicodeVersion)
	}
}

// The form of a form is itself, folded or not.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"", "Ada", "ＡＤＡ", "Straße", "ﬁ", "\u0345", "İ", "\xff", "e\u0301", "Ꭷ0", "ꭷᏰᏸ", "α\u0345\u0301", "ᾳ\u0323"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, fold bool) {
		once := event.Normalize(s, fold)
		if again := event.Normalize(once, fold); again != once {
			t.Fatalf("%q becomes %q and then %q", s, once, again)
		}
	})
}
