package user_test

import (
	"fmt"
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/policy"
	"muniment.dev/user"
)

func says(o event.ID, payload any) event.New {
	return event.New{Stream: policy.Stream(o), Payload: payload}
}

func hasHad(hash string) event.New {
	return event.New{Stream: user.Stream(ada), Payload: user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal(hash)}}
}

// A password is held against what the organization demands when it is set, else
// what the instance does, else what Muniment does (P08).
func TestPasswordPolicy(t *testing.T) {
	long := says(event.ID{}, policy.PasswordChanged{MinLength: 20})
	short := says(acme, policy.PasswordChanged{Organization: acme, MinLength: 9})
	history := says(acme, policy.PasswordChanged{Organization: acme, MinLength: 8, History: 2})
	elsewhere := says(other, policy.PasswordChanged{Organization: other, MinLength: 100})
	set := func(plain string, differs ...string) user.SetPassword {
		return user.SetPassword{User: ada, Organization: acme, Chosen: user.Chosen{Hash: "h", Plain: user.Plain(plain), Differs: differs}}
	}
	then := []any{user.PasswordSet{User: ada, Organization: acme, Hash: event.Seal("h")}}
	type is = decidetest.Case[user.SetPassword]
	accepted := func(name string, c user.SetPassword, facts ...event.New) {
		decidetest.Run(t, registry, user.SettingPassword, is{Name: name, Given: append([]event.New{adaRegistered}, facts...), When: c, Then: then, Repeat: true})
	}
	refused := func(name string, c user.SetPassword, err error, kind fault.Kind, facts ...event.New) {
		decidetest.Run(t, registry, user.SettingPassword, is{Name: name, Given: append([]event.New{adaRegistered}, facts...), When: c, Err: err, Kind: kind})
	}
	accepted("eight characters", set("eightchr"))
	refused("seven", set("sevench"), nil, fault.Invalid)
	refused("none", set(""), nil, fault.Invalid)
	refused("too short for the instance", set("four words of one"), nil, fault.Invalid, long)
	accepted("the organization's own holds", set("nine char"), long, short)
	accepted("another organization's does not", set("eightchr"), elsewhere)
	refused("the address", set("xx ada@example.org"), nil, fault.Invalid)
	refused("the family name", set("blackSMITH"), nil, fault.Invalid)
	accepted("a name that is in everything", set("adamantium"))
	accepted("one that was used long ago", set("four words", "b", "c"), history, hasHad("a"), hasHad("b"), hasHad("c"))
	refused("former ones that were not looked at", set("four words", "a", "b"), user.ErrUnchecked, 0, history, hasHad("a"), hasHad("b"), hasHad("c"))
	wrong := set("four words of one")
	wrong.Organization = other
	refused("held against another organization's", wrong, fault.New(fault.Internal, "a password was held against the policy of another organization"), 0)
	if s := fmt.Sprintf("%v %+v %#v", set("four words"), set("four words"), set("four words")); strings.Contains(s, "four") {
		t.Errorf("a password is printed: %s", s)
	}
}

// A lockout ends by an administrator's word, but not by one's own.
func TestEndingLockout(t *testing.T) {
	out := event.New{Stream: user.Stream(ada), Payload: user.LockoutBegun{User: ada, Organization: acme, Until: 100}}
	known := event.New{Stream: user.Stream(ada), Payload: user.LockoutBegun{User: ada, Organization: acme, Known: true, Until: 100}}
	ended := user.LockoutEnded{User: ada, Organization: acme}
	c := user.EndLockout{User: ada, Now: 99}
	late := user.EndLockout{User: ada, Now: 100}
	type is = decidetest.Case[user.EndLockout]
	decidetest.Run(t, registry, user.EndingLockout,
		is{Name: "absent", When: c, Err: user.ErrNotFound},
		is{Name: "there is none", Given: []event.New{adaRegistered}, When: c, Err: user.ErrNotLockedOut},
		is{Name: "once", Given: []event.New{adaRegistered, out}, When: c, Then: []any{ended}},
		is{Name: "of known addresses", Given: []event.New{adaRegistered, known}, When: c, Then: []any{ended}},
		is{Name: "over by itself", Given: []event.New{adaRegistered, out}, When: late, Err: user.ErrNotLockedOut},
		is{Name: "over by another password", Given: []event.New{adaRegistered, out, hasHad("x")}, When: c, Err: user.ErrNotLockedOut},
		is{Name: "erased", Given: []event.New{adaRegistered, out, adaErased}, When: c, Err: user.ErrErased},
		is{Name: "by the organization's administrator", As: asEve, Given: []event.New{adaRegistered, out, eveIsAdmin}, When: c, Then: []any{ended}},
		is{Name: "by another's", As: asEve, Given: []event.New{adaRegistered, out, eveIsAdminElsewhere}, When: c, Kind: fault.Denied},
		is{Name: "by the person", As: asAda, Given: []event.New{adaRegistered, out, {Stream: event.Stream{Kind: "member", ID: ada},
			Payload: authz.MemberAdded{Member: ada, User: ada, Role: "owner"}}}, When: c, Kind: fault.Denied},
	)
}
