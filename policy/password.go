package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Password is what is demanded of passwords. It is asked when one is set;
// passwords that are set already stay good, but for their age.
type Password struct {
	MinLength int64 // characters
	Upper     bool  // needs one such character; NIST SP 800-63B §3.1.1.2 advises against
	Lower     bool
	Digit     bool
	Symbol    bool
	History   int64 // the last so many of a person are refused; 0: any may come again
	MaxAge    int64 // days after which another has to be chosen at sign-in; 0: never
	Personal  bool  // may hold the person's own name or address
}

// PasswordChanged says what is demanded of passwords from now on, in an
// organization or, if that is zero, in all that have nothing of their own.
type PasswordChanged struct {
	Organization event.ID `event:"organization,public,tag=org"`
	MinLength    int64    `event:"min_length,public"`
	Upper        bool     `event:"needs_upper_case,public"`
	Lower        bool     `event:"needs_lower_case,public"`
	Digit        bool     `event:"needs_digit,public"`
	Symbol       bool     `event:"needs_symbol,public"`
	History      int64    `event:"history,public"`
	MaxAge       int64    `event:"max_age_days,public"`
	Personal     bool     `event:"allows_personal,public"`
}

// PasswordReset says that nothing of its own is demanded there any more.
type PasswordReset struct {
	Organization event.ID `event:"organization,public,tag=org"`
}

func (e PasswordChanged) value() Password {
	return Password{e.MinLength, e.Upper, e.Lower, e.Digit, e.Symbol, e.History, e.MaxAge, e.Personal}
}

func (p Password) changed(o event.ID) any {
	return PasswordChanged{o, p.MinLength, p.Upper, p.Lower, p.Digit, p.Symbol, p.History, p.MaxAge, p.Personal}
}

// DefaultPassword is what holds until somebody says otherwise.
func DefaultPassword() Password { return Password{MinLength: 8} }

// MaxHistory bounds how many former passwords can be refused: each costs one
// more hash when a password is set.
const MaxHistory = 24

func (p Password) check() error {
	return firstOf(
		within("policy.min_length", p.MinLength, 8, 128), // NIST SP 800-63B §3.1.1.2: SHALL be at least eight
		within("policy.history", p.History, 0, MaxHistory),
		orNone("policy.max_age_days", p.MaxAge, 1, 3650),
	)
}

func (p Password) risks() (out []Risk) {
	if p.Upper || p.Lower || p.Digit || p.Symbol {
		// NIST SP 800-63B §3.1.1.2: SHALL NOT impose other composition rules.
		out = append(out, Risk{"predictable-passwords", "people meet rules about characters in the same few ways, so that passwords become easier to guess; a greater length does more"})
	}
	if p.MaxAge > 0 {
		// NIST SP 800-63B §3.1.1.2: SHALL NOT require to change periodically.
		out = append(out, Risk{"forced-changes", "whoever has had a password for longer must choose another at the next sign-in, and people who must do so often choose weaker ones"})
	}
	if p.Personal {
		out = append(out, Risk{"personal-passwords", "passwords that hold a person's own name are the first that a stranger tries"})
	}
	return out
}

func (p Password) laxer(than Password) bool {
	age := p.MaxAge == 0 && than.MaxAge > 0 || p.MaxAge > than.MaxAge && than.MaxAge > 0
	return p.MinLength < than.MinLength || p.History < than.History || age || p.Personal && !than.Personal ||
		than.Upper && !p.Upper || than.Lower && !p.Lower || than.Digit && !p.Digit || than.Symbol && !p.Symbol
}

// TooOld reports whether a password that was set at a time must be changed.
func (p Password) TooOld(set, now event.Instant) bool {
	return p.MaxAge > 0 && now-set >= event.Instant(p.MaxAge*day*second)
}

// Check refuses a password that is not what the policy demands. Personal are
// the person's names and address.
func (p Password) Check(password string, personal ...string) error {
	if n := utf8.RuneCountInString(password); int64(n) < p.MinLength {
		return fault.Field("password", "must have at least %d characters", p.MinLength)
	}
	for _, class := range []struct {
		needed bool
		is     func(rune) bool
		what   string
	}{{p.Upper, unicode.IsUpper, "an upper-case letter"}, {p.Lower, unicode.IsLower, "a lower-case letter"},
		{p.Digit, unicode.IsDigit, "a digit"}, {p.Symbol, isSymbol, "a character that is neither letter nor digit"}} {
		if class.needed && !strings.ContainsFunc(password, class.is) {
			return fault.Field("password", "must have %s", class.what)
		}
	}
	if !p.Personal && holdsAny(password, personal) {
		return fault.Field("password", "must not hold the person's own name or e-mail address")
	}
	return nil
}

func isSymbol(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// leastPart is how long a part of a name must be to count: "Al" is in much.
const leastPart = 4

// holdsAny reports whether a password holds a name, or what stands before the
// at sign of an address, or one of their words, without regard to case.
func holdsAny(password string, personal []string) bool {
	password = event.Normalize(password, true)
	for _, text := range personal {
		text = event.Normalize(text, true)
		local, _, _ := strings.Cut(text, "@")
		parts := strings.FieldsFunc(local, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, part := range append(parts, local, text) {
			if utf8.RuneCountInString(part) >= leastPart && strings.Contains(password, part) {
				return true
			}
		}
	}
	return false
}
