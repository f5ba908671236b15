package policy_test

import (
	"errors"
	"strings"
	"testing"

	"muniment.dev/decide"
	"muniment.dev/fault"
	"muniment.dev/policy"
)

// bounds changes the instance's policy. Want is the field at fault, or the name
// of what has to be acknowledged, or nothing.
func bounds[V any](t *testing.T, d decide.Decider[policy.State, policy.Change[V]], p V, want string) {
	t.Helper()
	c := policy.Change[V]{Policy: p}
	_, err := d.Decide(policy.State{}, c)
	var f *fault.Error
	errors.As(err, &f)
	switch {
	case want == "":
		if err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	case strings.HasPrefix(want, "policy."):
		if f == nil || f.Kind != fault.Invalid || f.Field != want {
			t.Errorf("%+v: %v, want %s refused", p, err, want)
		}
	default:
		if f == nil || f.Kind != fault.Refused || f.Field != "acknowledge" || !strings.Contains(f.Msg, want) {
			t.Errorf("%+v: %v, want %s asked for", p, err, want)
		}
		c.Acknowledge = []string{"something-else", want}
		if events, err := d.Decide(policy.State{}, c); err != nil || len(events) != 1 {
			t.Errorf("%+v, acknowledged: %v %v", p, events, err)
		}
	}
}

// Passwords are what the policy demands (NIST SP 800-63B §3.1.1.2).
func TestCheck(t *testing.T) {
	all := policy.Password{MinLength: 8, Upper: true, Lower: true, Digit: true, Symbol: true}
	for _, c := range []struct {
		p        policy.Password
		password string
		good     bool
	}{
		{policy.DefaultPassword(), "eightchr", true}, {policy.DefaultPassword(), "sevench", false}, {policy.DefaultPassword(), "äöüßäöüß", true},
		{policy.Password{MinLength: 9}, "äöüßäöüß", false}, {policy.DefaultPassword(), "🔑🔑🔑🔑🔑🔑🔑🔒", true}, {policy.DefaultPassword(), "        ", true},
		{all, "Eight-8chars", true}, {all, "eight-8chars", false}, {all, "EIGHT-8CHARS", false}, {all, "Eight-chars", false}, {all, "Eight8chars", false},
		{policy.DefaultPassword(), "my name is lovelace", false}, {policy.DefaultPassword(), "ILOVELACEwork", false}, {policy.DefaultPassword(), "ada.king1815", false},
		{policy.DefaultPassword(), "kingdoms of ice", false}, {policy.DefaultPassword(), "adamantium", true}, {policy.Password{MinLength: 8, Personal: true}, "lovelace", true},
	} {
		if err := c.p.Check(c.password, "Ada.King@example.org", "Ada", "Lovelace", ""); (err == nil) != c.good {
			t.Errorf("%+v, %q: %v", c.p, c.password, err)
		}
	}
}
