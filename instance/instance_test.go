package instance_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
)

var (
	registry = event.NewRegistry(authz.Events(), instance.Events())

	id    = event.MustID("01000000000000000000000000000001")
	cli   = event.MustID("0e000000000000000000000000000001")
	eve   = event.MustID("0b000000000000000000000000000003")
	asEve = event.Actor{Kind: "user", ID: eve}

	created = event.New{Stream: instance.Stream(id), Payload: instance.Created{Instance: id, Name: "Test", CheckpointKey: "v",
		CheckpointSigner: event.Seal("s"), FlowKey: event.Seal(make([]byte, 32)), CLI: cli}}
	eveOwns = event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Role: "owner"}}
)

func key(alg, name string) event.New {
	return event.New{Stream: instance.Stream(id), Payload: instance.SigningKeyCreated{Instance: id, Key: name, Algorithm: alg,
		Public: []byte("public " + name), Private: event.Seal([]byte("private " + name))}}
}

// A log has one instance, made by Muniment itself.
func TestCreating(t *testing.T) {
	c := instance.Create{Instance: id, Name: "Test", CheckpointKey: "v", CheckpointSigner: "s", CLI: cli}
	second := c
	second.Instance = cli
	type is = decidetest.Case[instance.Create]
	decidetest.Run(t, registry, instance.Creating,
		is{Name: "once", When: c, Then: []any{created.Payload}},
		is{Name: "again", Given: []event.New{created}, When: c, Kind: fault.Exists},
		is{Name: "another", Given: []event.New{created}, When: second, Kind: fault.Exists},
		is{Name: "by an owner", As: asEve, Given: []event.New{eveOwns}, When: c, Kind: fault.Denied},
	)
}

// Of several who make the first key for an algorithm, one does.
func TestCreatingSigningKey(t *testing.T) {
	c := instance.CreateSigningKey{Instance: id, Key: "a", Algorithm: "ES256", Public: []byte("public a"), Private: []byte("private a")}
	type is = decidetest.Case[instance.CreateSigningKey]
	decidetest.Run(t, registry, instance.CreatingSigningKey,
		is{Name: "once", Given: []event.New{created}, When: c, Then: []any{key("ES256", "a").Payload}},
		is{Name: "somebody was faster", Given: []event.New{created, key("ES256", "b")}, When: c},
		is{Name: "beside another algorithm's", Given: []event.New{created, key("RS256", "b")}, When: c, Then: []any{key("ES256", "a").Payload}},
		is{Name: "by an owner", As: asEve, Given: []event.New{created, eveOwns}, When: c, Kind: fault.Denied},
	)
}

// The newest key of an algorithm signs.
func TestKey(t *testing.T) {
	var s instance.State
	for _, e := range []event.New{key("ES256", "a"), key("RS256", "b"), key("ES256", "c")} {
		s = instance.Evolve(s, event.Fact{Payload: e.Payload})
	}
	if k, ok := s.Key("ES256"); !ok || k.Key != "c" {
		t.Errorf("ES256: %q %v", k.Key, ok)
	}
	if _, ok := s.Key("none"); ok {
		t.Error("there is a key for no algorithm")
	}
}
