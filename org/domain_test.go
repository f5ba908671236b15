package org_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/user"
)

var (
	otherAdded = event.New{Stream: org.Stream(other), Payload: org.Added{Organization: other, Name: "Other"}}
	removed    = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRemoved{Organization: acme}}
	restored   = event.New{Stream: org.Stream(acme), Payload: authz.OrganizationRestored{Organization: acme}}
)

func of(o event.ID, payload any) event.New {
	return event.New{Stream: org.Stream(o), Payload: payload}
}

// A domain is claimed by anybody, verified as one organization's, and given up
// again (P11).
func TestDomains(t *testing.T) {
	const name = "example.org"
	claimed := of(acme, org.DomainAdded{Organization: acme, Domain: name, Token: "t"})
	byOther := of(other, org.DomainAdded{Organization: other, Domain: name, Token: "u"})
	verified := of(acme, org.DomainVerified{Organization: acme, Domain: name, Method: "dns"})
	ofOther := of(other, org.DomainVerified{Organization: other, Domain: name, Method: "word"})
	gone := of(acme, org.DomainRemoved{Organization: acme, Domain: name})
	otherGone := of(other, org.DomainRemoved{Organization: other, Domain: name})
	first := of(acme, org.PrimaryDomainChanged{Organization: acme, Domain: name})

	c := org.AddDomain{Organization: acme, Domain: name, Token: "t"}
	type add = decidetest.Case[org.AddDomain]
	decidetest.Run(t, registry, org.AddingDomain,
		add{Name: "no organization", When: c, Err: org.ErrNotFound},
		add{Name: "once", Given: given(added), When: c, Then: []any{claimed.Payload}},
		add{Name: "again", Given: given(added, claimed), When: c, Err: org.ErrHasDomain},
		add{Name: "after it was given up", Given: given(added, claimed, gone), When: c, Then: []any{claimed.Payload}},
		add{Name: "claimed by another", Given: given(added, otherAdded, byOther), When: c, Then: []any{claimed.Payload}},
		add{Name: "of another", Given: given(added, otherAdded, byOther, ofOther), When: c, Err: org.ErrDomainTaken},
		add{Name: "given up by another", Given: given(added, otherAdded, byOther, ofOther, otherGone), When: c, Then: []any{claimed.Payload}},
		add{Name: "out of use", Given: given(added, inactive), When: c, Err: org.ErrInactive},
		add{Name: "removed", Given: given(added, removed), When: c, Err: org.ErrRemoved},
		add{Name: "by its admin", As: asEve, Given: given(added, eveIs(authz.Admin, acme)), When: c, Then: []any{claimed.Payload}},
		add{Name: "by another's owner", As: asEve, Given: given(added, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
	)
	v := org.VerifyDomain{Organization: acme, Domain: name, Published: []string{"x", "muniment-domain-verification=t"}}
	wrong, word := v, v
	wrong.Published = []string{"muniment-domain-verification=u", ""}
	word.Published, word.Vouched = nil, true
	byWord := org.DomainVerified{Organization: acme, Domain: name, Method: "word"}
	type verify = decidetest.Case[org.VerifyDomain]
	decidetest.Run(t, registry, org.VerifyingDomain,
		verify{Name: "not claimed", Given: given(added), When: v, Err: org.ErrNoDomain},
		verify{Name: "once", Given: given(added, claimed), When: v, Then: []any{verified.Payload}},
		verify{Name: "again", Given: given(added, claimed, verified), When: v, Err: org.ErrVerified},
		verify{Name: "another's token", Given: given(added, claimed), When: wrong, Err: org.ErrNotPublished},
		verify{Name: "another was faster", Given: given(added, otherAdded, claimed, byOther, ofOther), When: v, Err: org.ErrDomainTaken},
		verify{Name: "by word", Given: given(added, claimed), When: word, Then: []any{byWord}},
		verify{Name: "by its owner", As: asEve, Given: given(added, claimed, eveIs(authz.Owner, acme)), When: v, Then: []any{verified.Payload}},
		verify{Name: "by the word of its owner", As: asEve, Given: given(added, claimed, eveIs(authz.Owner, acme)), When: word, Kind: fault.Denied},
		verify{Name: "by the word of the instance's admin", As: asEve, Given: given(added, claimed, eveIs(authz.Admin, event.ID{})), When: word, Then: []any{byWord}},
	)
	p := org.SetPrimaryDomain{Organization: acme, Domain: name}
	type primary = decidetest.Case[org.SetPrimaryDomain]
	decidetest.Run(t, registry, org.SettingPrimaryDomain,
		primary{Name: "absent", Given: given(added), When: p, Err: org.ErrNoDomain},
		primary{Name: "not verified", Given: given(added, claimed), When: p, Err: org.ErrNotVerified},
		primary{Name: "once", Given: given(added, claimed, verified), When: p, Then: []any{first.Payload}},
		primary{Name: "again", Given: given(added, claimed, verified, first), When: p},
	)
	r := org.RemoveDomain{Organization: acme, Domain: name}
	type remove = decidetest.Case[org.RemoveDomain]
	decidetest.Run(t, registry, org.RemovingDomain,
		remove{Name: "absent", Given: given(added), When: r, Err: org.ErrNoDomain},
		remove{Name: "once", Given: given(added, claimed, verified, first), When: r, Then: []any{gone.Payload}},
	)
}

// Domain names are those of the DNS, written one way.
func TestCheckDomain(t *testing.T) {
	for name, good := range map[string]bool{
		"example.org": true, "a.b.example.co.uk": true, "xn--bcher-kva.example": true, "1and1.com": true, strings.Repeat("a", 63) + ".org": true,
		"": false, "org": false, ".org": false, "example.": false, "Example.org": false, "bücher.example": false, "-a.org": false, "a-.org": false,
		"a..org": false, "a b.org": false, "192.0.2.1": false, strings.Repeat("a", 64) + ".org": false, strings.Repeat("a.", 130) + "org": false, "_x.org": false,
	} {
		if err := org.CheckDomain(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An organization is removed when it is empty, or when what follows is
// acknowledged; by whoever may deactivate it; and comes back as it was.
func TestRemoving(t *testing.T) {
	c := org.Remove{Organization: acme}
	meant := org.Remove{Organization: acme, Acknowledge: []string{org.LockPeopleOut, org.EndProjects}}
	half := org.Remove{Organization: acme, Acknowledge: []string{org.LockPeopleOut}}
	erased := event.New{Stream: user.Stream(bob), Payload: user.Erased{User: bob, Organization: acme}}
	project := event.New{Stream: event.Stream{Kind: "project", ID: bob}, Payload: projectAdded(acme)}
	admin, owner := eveIs(authz.Admin, event.ID{}), eveIs(authz.Owner, event.ID{})
	bobOwns := event.New{Stream: event.Stream{Kind: "member", ID: bob}, Payload: authz.MemberAdded{Member: bob, User: bob, Role: string(authz.Owner)}}
	then := []any{removed.Payload}
	type is = decidetest.Case[org.Remove]
	decidetest.Run(t, registry, org.Removing,
		is{Name: "absent", When: c, Err: org.ErrNotFound},
		is{Name: "empty", Given: given(added), When: c, Then: then},
		is{Name: "again", Given: given(added, removed), When: c, Err: org.ErrRemoved},
		is{Name: "after it was restored", Given: given(added, removed, restored), When: c, Then: then},
		is{Name: "out of use", Given: given(added, inactive), When: c, Then: then},
		is{Name: "with people", Given: given(added, at(bob, acme)), When: c, Kind: fault.Refused},
		is{Name: "with people who were erased", Given: given(added, at(bob, acme), erased), When: c, Then: then},
		is{Name: "with projects", Given: given(added, project), When: half, Kind: fault.Refused},
		is{Name: "with people and projects, acknowledged", Given: given(added, at(bob, acme), project), When: meant, Then: then},
		is{Name: "by an instance admin", As: asEve, Given: given(added, admin), When: c, Then: then},
		is{Name: "by its owner", As: asEve, Given: given(added, eveIs(authz.Owner, acme)), When: c, Kind: fault.Denied},
		is{Name: "one's own", As: asEve, Given: given(added, owner, at(eve, acme)), When: meant, Kind: fault.Denied},
		is{Name: "with an instance owner in it, by an admin", As: asEve, Given: given(added, admin, at(bob, acme), bobOwns), When: meant, Kind: fault.Denied},
		is{Name: "with an instance owner in it, by another", As: asEve, Given: given(added, owner, at(bob, acme), bobOwns), When: meant, Then: then},
	)
	r := org.Restore{Organization: acme}
	type back = decidetest.Case[org.Restore]
	decidetest.Run(t, registry, org.Restoring,
		back{Name: "absent", When: r, Err: org.ErrNotFound},
		back{Name: "there", Given: given(added), When: r, Err: org.ErrIsThere},
		back{Name: "once", Given: given(added, removed), When: r, Then: []any{restored.Payload}},
		back{Name: "by an instance admin", As: asEve, Given: given(added, removed, admin), When: r, Then: []any{restored.Payload}},
		back{Name: "by its owner", As: asEve, Given: given(added, removed, eveIs(authz.Owner, acme)), When: r, Kind: fault.Denied},
	)
	if s := org.Evolve(org.Evolve(org.Evolve(org.State{}, fact(added)), fact(inactive)), fact(removed)); s.Usable() != org.ErrRemoved {
		t.Error(s.Usable())
	} else if s = org.Evolve(s, fact(restored)); s.Usable() != org.ErrInactive {
		t.Error(s.Usable())
	}
}

func fact(e event.New) event.Fact {
	return event.Fact{Record: &event.Record{Stream: e.Stream}, Payload: e.Payload}
}
