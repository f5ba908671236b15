package instance_test

import (
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
)

var (
	registry = event.NewRegistry(authz.Events(), instance.Events(), org.Events())

	id    = event.MustID("01000000000000000000000000000001")
	cli   = event.MustID("0e000000000000000000000000000001")
	eve   = event.MustID("0b000000000000000000000000000003")
	asEve = event.Actor{Kind: "user", ID: eve}

	created = event.New{Stream: instance.Stream(id), Payload: instance.Created{Instance: id, Name: "Test", CheckpointKey: "v",
		CheckpointSigner: event.Seal("s"), FlowKey: event.Seal(make([]byte, 32)), CLI: cli}}
	eveOwns = event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Role: "owner"}}
)

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
