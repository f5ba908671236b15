package hosting_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
)

var (
	registry = event.NewRegistry(authz.Events(), hosting.Events())

	acme  = event.MustID("0a000000000000000000000000000001")
	beta  = event.MustID("0a000000000000000000000000000002")
	log   = event.MustID("0d000000000000000000000000000001")
	olga  = event.MustID("0b000000000000000000000000000001")
	adam  = event.MustID("0b000000000000000000000000000002")
	owner = event.Actor{Kind: "user", ID: olga}
	admin = event.Actor{Kind: "user", ID: adam}
	root  = [32]byte{1, 2, 3}

	site    = hosting.Site{Home: "id.example.com"}
	members = []event.New{
		{Stream: event.Stream{Kind: "member", ID: olga}, Payload: authz.MemberAdded{Member: olga, User: olga, Role: "owner"}},
		{Stream: event.Stream{Kind: "member", ID: adam}, Payload: authz.MemberAdded{Member: adam, User: adam, Role: "admin"}},
	}
)

func of(id event.ID, payloads ...any) []event.New {
	out := members
	for _, p := range payloads {
		out = append(out[:len(out):len(out)], event.New{Stream: hosting.Stream(id), Payload: p})
	}
	return out
}

// The lives of an instance; each is a prefix of those that come from it.
var (
	hosted    = []any{hosting.Hosted{Instance: acme, Log: log, Name: "Acme", Host: "acme.example.com"}}
	made      = append(hosted[:1:1], hosting.Made{Instance: acme, CheckpointKey: "key"})
	suspended = append(made[:2:2], hosting.Suspended{Instance: acme})
	resumed   = append(suspended[:3:3], hosting.Resumed{Instance: acme})
	deleted   = append(suspended[:3:3], hosting.Deleted{Instance: acme, Log: log, Size: 7, Root: root[:]})
	destroyed = append(deleted[:4:4], hosting.Destroyed{Instance: acme})
)

// An instance is hosted by an owner of the home instance, under a name that is
// nobody's; that of a destroyed one is free again.
func TestCreating(t *testing.T) {
	c := hosting.Create{Instance: acme, Log: log, Name: "Acme", Host: "acme.example.com", Site: site}
	other := c
	other.Instance, other.Name = beta, "Beta"
	home, unnamed := c, c
	home.Host, unnamed.Name = "id.example.com", " "
	more := append(made[:2:2], hosting.HostAdded{Instance: acme, Host: "www.acme.example.com"})
	second := other
	second.Host = "www.acme.example.com"
	type is = decidetest.Case[hosting.Create]
	decidetest.Run(t, registry, hosting.Creating,
		is{Name: "by an owner", As: owner, Given: members, When: c, Then: hosted},
		is{Name: "by an admin", As: admin, Given: members, When: c, Kind: fault.Denied},
		is{Name: "a name that is taken", As: owner, Given: of(acme, hosted...), When: other, Err: hosting.ErrTaken},
		is{Name: "a second name that is taken", As: owner, Given: of(acme, more...), When: second, Err: hosting.ErrTaken},
		is{Name: "the name of one that is being destroyed", As: owner, Given: of(acme, deleted...), When: other, Err: hosting.ErrTaken},
		is{Name: "the name of one that is gone", As: owner, Given: of(acme, destroyed...), When: other,
			Then: []any{hosting.Hosted{Instance: beta, Log: log, Name: "Beta", Host: "acme.example.com"}}},
		is{Name: "the home instance's name", As: owner, Given: members, When: home, Err: hosting.ErrOwn},
		is{Name: "without a name", As: owner, Given: members, When: unnamed, Kind: fault.Invalid},
	)
}

// There is a bound, and those that are gone do not count.
func TestMost(t *testing.T) {
	var many, gone []event.New
	for i := range hosting.Most {
		id := event.ID{1, byte(i >> 8), byte(i)}
		many = append(many, event.New{Stream: hosting.Stream(id), Payload: hosting.Hosted{Instance: id, Name: "x", Host: id.String() + ".example.com"}})
	}
	gone = append(many[:hosting.Most:hosting.Most], event.New{Stream: many[0].Stream, Payload: hosting.Destroyed{Instance: many[0].Stream.ID}})
	c := hosting.Create{Instance: acme, Log: log, Name: "Acme", Host: "acme.example.com", Site: site}
	type is = decidetest.Case[hosting.Create]
	decidetest.Run(t, registry, hosting.Creating,
		is{Name: "too many", Given: many, When: c, Err: hosting.ErrMany},
		is{Name: "one is gone", Given: gone, When: c, Then: hosted},
	)
}

// Only Muniment itself says that the stores are made, once.
func TestCompleting(t *testing.T) {
	c := hosting.Complete{Instance: acme, CheckpointKey: "key"}
	type is = decidetest.Case[hosting.Complete]
	decidetest.Run(t, registry, hosting.Completing,
		is{Name: "once", Given: of(acme, hosted...), When: c, Then: made[1:]},
		is{Name: "again", Given: of(acme, suspended...), When: c},
		is{Name: "absent", When: c, Err: hosting.ErrNotFound},
		is{Name: "by an owner", As: owner, Given: of(acme, hosted...), When: c, Kind: fault.Denied},
	)
}

// A command on one instance is for owners, and for the states that it fits.
func TestStates(t *testing.T) {
	states := map[string][]any{"absent": nil, "making": hosted, "active": made, "suspended": suspended, "resumed": resumed, "deleted": deleted, "destroyed": destroyed}
	inStates(t, states, hosting.Suspending, hosting.Suspend{Instance: acme}, hosting.Suspended{Instance: acme}, map[string]error{
		"absent": hosting.ErrNotFound, "making": hosting.ErrMaking, "suspended": hosting.ErrSuspended, "deleted": hosting.ErrDeleted, "destroyed": hosting.ErrDeleted}, false)
	inStates(t, states, hosting.Resuming, hosting.Resume{Instance: acme}, hosting.Resumed{Instance: acme}, map[string]error{
		"absent": hosting.ErrNotFound, "making": hosting.ErrActive, "active": hosting.ErrActive, "resumed": hosting.ErrActive, "deleted": hosting.ErrDeleted, "destroyed": hosting.ErrDeleted}, false)
	inStates(t, states, hosting.RequestingOwnerLink, hosting.RequestOwnerLink{Instance: acme}, hosting.OwnerLinkRequested{Instance: acme}, map[string]error{
		"absent": hosting.ErrNotFound, "making": hosting.ErrMaking, "suspended": hosting.ErrSuspended, "deleted": hosting.ErrDeleted, "destroyed": hosting.ErrDeleted}, true)
	inStates(t, states, hosting.Exporting, hosting.Export{Instance: acme, Size: 7, Root: root}, hosting.Exported{Instance: acme, Size: 7, Root: root[:]}, map[string]error{
		"absent": hosting.ErrNotFound, "making": hosting.ErrMaking, "deleted": hosting.ErrDeleted, "destroyed": hosting.ErrDeleted}, true)
	inStates(t, states, hosting.AddingHost, hosting.AddHost{Instance: acme, Host: "www.acme.example.com", Site: site}, hosting.HostAdded{Instance: acme, Host: "www.acme.example.com"}, map[string]error{
		"absent": hosting.ErrNotFound, "deleted": hosting.ErrDeleted, "destroyed": hosting.ErrDeleted}, false)
}

func inStates[S, C any](t *testing.T, states map[string][]any, d decide.Decider[S, C], c C, then any, refused map[string]error, repeat bool) {
	t.Helper()
	cases := []decidetest.Case[C]{{Name: d.Name + ", by an admin", As: admin, Given: of(acme, made...), When: c, Kind: fault.Denied}}
	for name, life := range states {
		is := decidetest.Case[C]{Name: d.Name + ", " + name, As: owner, Given: of(acme, life...), When: c, Err: refused[name], Repeat: repeat}
		if is.Err == nil {
			is.Then = []any{then}
		}
		cases = append(cases, is)
	}
	decidetest.Run(t, registry, d, cases...)
}

// A further name goes; the first is the issuer's and stays.
func TestRemovingHost(t *testing.T) {
	given := of(acme, append(made[:2:2], hosting.HostAdded{Instance: acme, Host: "www.acme.example.com"})...)
	www := hosting.RemoveHost{Instance: acme, Host: "www.acme.example.com"}
	type is = decidetest.Case[hosting.RemoveHost]
	decidetest.Run(t, registry, hosting.RemovingHost,
		is{Name: "a further one", As: owner, Given: given, When: www, Then: []any{hosting.HostRemoved(www)}},
		is{Name: "the first", As: owner, Given: given, When: hosting.RemoveHost{Instance: acme, Host: "acme.example.com"}, Err: hosting.ErrPrimary},
		is{Name: "one that it has not", As: owner, Given: of(acme, made...), When: www, Err: hosting.ErrNoHost},
		is{Name: "by an admin", As: admin, Given: given, When: www, Kind: fault.Denied},
		is{Name: "absent", As: owner, Given: members, When: www, Err: hosting.ErrNotFound},
		is{Name: "of a deleted one", As: owner, Given: of(acme, deleted...), When: www, Err: hosting.ErrDeleted},
	)
}

// An instance is deleted by name, suspended, and as it was when its end was
// looked up.
func TestDeleting(t *testing.T) {
	c := hosting.Delete{Instance: acme, Name: "Acme", Suspended: 5, Size: 7, Root: root} // after two members
	wrong, old := c, c
	wrong.Name, old.Suspended = "acme", 3
	again := append(resumed[:4:4], hosting.Suspended{Instance: acme})
	type is = decidetest.Case[hosting.Delete]
	decidetest.Run(t, registry, hosting.Deleting,
		is{Name: "suspended", As: owner, Given: of(acme, suspended...), When: c, Then: deleted[3:]},
		is{Name: "another name", As: owner, Given: of(acme, suspended...), When: wrong, Err: hosting.ErrName},
		is{Name: "served", As: owner, Given: of(acme, made...), When: c, Err: hosting.ErrNotYet},
		is{Name: "resumed", As: owner, Given: of(acme, resumed...), When: c, Err: hosting.ErrNotYet},
		is{Name: "resumed and suspended meanwhile", As: owner, Given: of(acme, again...), When: c, Err: hosting.ErrMoved},
		is{Name: "again", As: owner, Given: of(acme, deleted...), When: c, Err: hosting.ErrDeleted},
		is{Name: "absent", As: owner, Given: members, When: c, Err: hosting.ErrNotFound},
		is{Name: "by an admin", As: admin, Given: of(acme, suspended...), When: c, Kind: fault.Denied},
	)
}

// Only Muniment itself says that nothing is left.
func TestDestroying(t *testing.T) {
	c := hosting.Destroy{Instance: acme}
	type is = decidetest.Case[hosting.Destroy]
	decidetest.Run(t, registry, hosting.Destroying,
		is{Name: "deleted", Given: of(acme, deleted...), When: c, Then: destroyed[4:]},
		is{Name: "again", Given: of(acme, destroyed...), When: c},
		is{Name: "suspended", Given: of(acme, suspended...), When: c, Err: hosting.ErrNotYet},
		is{Name: "by an owner", As: owner, Given: of(acme, deleted...), When: c, Kind: fault.Denied},
	)
}

// Host names are names of the DNS as the network knows them.
func TestCheckHost(t *testing.T) {
	for host, ok := range map[string]bool{
		"acme.example.com": true, "a": true, "xn--bcher-kva.example": true, "acme.localhost": true, "1a.example": true,
		strings.Repeat("a", 63) + ".example": true,
		"":                                   false, "Acme.example.com": false, "bücher.example": false, "acme.example.com:443": false, "https://acme.example.com": false,
		"acme.example.com.": false, "acme.example.com/x": false, ".example.com": false, "a..b": false, "-a.example": false, "a-.example": false,
		"a_b.example": false, "a b.example": false, "192.0.2.1": false, "[::1]": false, "::1": false, "127.1": false, "1.2.3": false,
		"localhost": false, "id.example.com": false, "*.example.com": false, "a@b.example": false, "a\x00.example": false, "a\n.example": false,
		strings.Repeat("a", 64) + ".example": false, strings.Repeat("a.", 127) + "aa": false,
	} {
		if err := site.CheckHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
	plain := hosting.Site{Home: "localhost", Plain: true}
	if plain.CheckHost("acme.localhost") != nil || plain.CheckHost("acme.example.com") == nil {
		t.Error("by plain http only names of this machine can be had")
	}
}
