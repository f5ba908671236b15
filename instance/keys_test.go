package instance_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
)

// The tests count in hours.
const hour = event.Instant(3_600_000_000)

func in(payload any) event.New { return event.New{Stream: instance.Stream(id), Payload: payload} }

func key(alg, name string, at event.Instant) event.New {
	return in(instance.SigningKeyCreated{Instance: id, Key: name, Algorithm: alg, Public: []byte("public " + name), Private: event.Seal([]byte("private " + name)), At: at * hour})
}

func fresh(alg, name string) instance.NewKey {
	return instance.NewKey{Key: name, Algorithm: alg, Public: []byte("public " + name), Private: []byte("private " + name)}
}

func activated(alg, name string, at event.Instant) event.New {
	return in(instance.SigningKeyActivated{Instance: id, Key: name, Algorithm: alg, At: at * hour})
}

func retired(name string, until event.Instant) event.New {
	return in(instance.SigningKeyRetired{Instance: id, Key: name, Algorithm: "ES256", Until: until * hour})
}

func removed(name string) event.New {
	return in(instance.SigningKeyRemoved{Instance: id, Key: name, Algorithm: "ES256"})
}

func payloads(events ...event.New) (out []any) {
	for _, e := range events {
		out = append(out, e.Payload)
	}
	return out
}

// A key is announced, signs, verifies for a while, and is gone; nobody takes a
// step twice, or before its time.
func TestRotating(t *testing.T) {
	at := func(now event.Instant, keys ...instance.NewKey) instance.Rotate {
		return instance.Rotate{Instance: id, Algorithms: []string{"ES256"}, Fresh: keys, Now: now * hour}
	}
	scheduled := in(instance.KeyScheduleChanged{Instance: id, Every: 100 * 3600, Announce: 10 * 3600, Remain: 20 * 3600})
	once, distrust := at(50, fresh("ES256", "b")), at(50, fresh("ES256", "b"))
	once.AtOnce, distrust.AtOnce, distrust.Distrust = true, true, true
	first := []event.New{created, scheduled, key("ES256", "a", 1), activated("ES256", "a", 1)}
	with := func(more ...event.New) []event.New { return append(append([]event.New{}, first...), more...) }
	admin := event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Role: "admin"}}
	type is = decidetest.Case[instance.Rotate]
	decidetest.Run(t, registry, instance.Rotating,
		is{Name: "the first signs at once", Given: []event.New{created, scheduled}, When: at(1, fresh("ES256", "a")), Then: payloads(first[2:]...)},
		is{Name: "somebody was faster", Given: first, When: at(2, fresh("ES256", "x"))},
		is{Name: "beside another algorithm's", Given: []event.New{created, scheduled, key("RS256", "r", 1), activated("RS256", "r", 1)}, When: at(1, fresh("ES256", "a")), Then: payloads(first[2:]...)},
		is{Name: "the next is not due", Given: first, When: at(90, fresh("ES256", "b"))},
		is{Name: "the next is announced", Given: first, When: at(91, fresh("ES256", "b")), Then: payloads(key("ES256", "b", 91))},
		is{Name: "no key was made", Given: first, When: at(91)},
		is{Name: "not yet long enough announced", Given: with(key("ES256", "b", 95)), When: at(104)},
		is{Name: "the next signs", Given: with(key("ES256", "b", 95)), When: at(105), Then: payloads(activated("ES256", "b", 105), retired("a", 125))},
		is{Name: "announced late, it signs late", Given: first, When: at(500, fresh("ES256", "b")), Then: payloads(key("ES256", "b", 500))},
		is{Name: "the old one still verifies", Given: with(key("ES256", "b", 91), activated("ES256", "b", 101), retired("a", 121)), When: at(120)},
		is{Name: "the old one is gone", Given: with(key("ES256", "b", 91), activated("ES256", "b", 101), retired("a", 121)), When: at(121), Then: payloads(removed("a"))},
		is{Name: "by an owner", As: asEve, Given: with(eveOwns), When: at(200, fresh("ES256", "b")), Kind: fault.Denied},
		is{Name: "at once", As: asEve, Given: with(eveOwns), When: once, Then: payloads(key("ES256", "b", 50), activated("ES256", "b", 50), retired("a", 70)), Repeat: true},
		is{Name: "at once, by an admin", As: asEve, Given: with(admin), When: once, Then: payloads(key("ES256", "b", 50), activated("ES256", "b", 50), retired("a", 70)), Repeat: true},
		is{Name: "at once, by somebody", As: asEve, Given: first, When: once, Kind: fault.Denied},
		is{Name: "at once, with one announced", Given: with(key("ES256", "c", 49)), When: once, Then: payloads(activated("ES256", "c", 50), retired("a", 70)), Repeat: true},
		is{Name: "stolen", Given: with(retired("a", 60), key("ES256", "c", 3), activated("ES256", "c", 40)), When: distrust,
			Then: payloads(removed("a"), key("ES256", "b", 50), activated("ES256", "b", 50), removed("c")), Repeat: true},
	)
}

// The current key of an algorithm signs; those that were removed verify nothing.
func TestKey(t *testing.T) {
	var s instance.State
	for _, e := range []event.New{key("ES256", "a", 1), activated("ES256", "a", 1), key("RS256", "b", 1), key("ES256", "c", 2), activated("ES256", "c", 3), retired("a", 9), key("ES256", "d", 4)} {
		s = instance.Evolve(s, event.Fact{Payload: e.Payload})
	}
	if k, ok := s.Key("ES256"); !ok || k.Key != "c" || len(s.Keys) != 4 {
		t.Errorf("ES256: %q %v of %v", k.Key, ok, s.Keys)
	}
	if _, ok := s.Key("RS256"); ok {
		t.Error("a key signs that was only announced")
	}
	before := s
	if s = instance.Evolve(s, event.Fact{Payload: removed("a").Payload}); len(s.Keys) != 3 || len(before.Keys) != 4 || before.Keys[0].Key != "a" {
		t.Errorf("%v, before %v", s.Keys, before.Keys)
	}
}
