// Package instance holds what an instance is: its name, the key that signs its
// checkpoints, the keys that sign its tokens. Secrets stand sealed under the
// instance's own key; whoever has the log without that key has none of them.
package instance

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Created is the first record of a log: whose it is, and the key by which its
// checkpoints are verified.
type Created struct {
	Instance         event.ID             `event:"instance,public,subject"`
	Name             string               `event:"name,public"`
	CheckpointKey    string               `event:"checkpoint_key,public"`    // note verifier key (C2SP signed-note)
	CheckpointSigner event.Sealed[string] `event:"checkpoint_signer,secret"` // note signer key
	FlowKey          event.Sealed[[]byte] `event:"flow_key,secret"`          // 32 bytes; seals sign-in flows in browsers
	CLI              event.ID             `event:"cli,public"`               // the command line's application
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Created]("instance.created", 1, "{actor} created the instance {name}"),
		event.Describe[Renamed]("instance.renamed", 1, "{actor} renamed the instance to {name}"),
		event.Describe[DefaultOrganizationChanged]("instance.default-organization.changed", 1, "{actor} made {organization} the organization of new people"),
		event.Describe[LinksChanged]("instance.links.changed", 1, "{actor} changed the links of the sign-in page"),
		event.Describe[KeyScheduleChanged]("instance.key-schedule.changed", 1, "{actor} changed the schedule of signing keys"),
		event.Describe[SigningKeyCreated]("instance.signing-key.created", 1, "{actor} announced the {algorithm} signing key {key}"),
		event.Describe[SigningKeyActivated]("instance.signing-key.activated", 1, "{actor} made {key} the {algorithm} key that signs tokens"),
		event.Describe[SigningKeyRetired]("instance.signing-key.retired", 1, "{actor} retired the {algorithm} signing key {key}"),
		event.Describe[SigningKeyRemoved]("instance.signing-key.removed", 1, "{actor} removed the {algorithm} signing key {key}"),
	}
}

// Stream is an instance's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "instance", ID: id} }

// State is what is known of an instance.
type State struct {
	Created
	Keys []SigningKey // that verify, in the order of their announcement

	schedule Schedule // zero: nothing was said
}

// Evolve folds one fact of the instance's stream.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Created:
		s.Created = p
	case KeyScheduleChanged:
		s.schedule = Schedule{p.Every, p.Announce, p.Remain}
	default:
		s.Keys = evolveKeys(s.Keys, f)
	}
	return s
}

// Facts are the facts of one instance.
func Facts(id event.ID) []decide.Facts { return []decide.Facts{{Stream: Stream(id)}} }

func system[S, C any](a authz.Authority, _ S, _ C) error {
	if !a.IsSystem() {
		return authz.Denied("be Muniment itself")
	}
	return nil
}

// Create is an instance's beginning.
type Create struct {
	Instance         event.ID
	Name             string
	CheckpointKey    string
	CheckpointSigner string
	FlowKey          [32]byte
	CLI              event.ID
}

// Creating decides Create.
var Creating = decide.Decider[State, Create]{
	Name:   "create an instance",
	Query:  func(Create) []decide.Facts { return []decide.Facts{{Types: []string{"instance.created"}}} },
	Evolve: Evolve,
	Allow:  system[State, Create],
	Decide: func(s State, c Create) ([]event.New, error) {
		if !s.Instance.IsZero() {
			return nil, fault.New(fault.Exists, "this log belongs to an instance already")
		}
		return []event.New{{Stream: Stream(c.Instance), Payload: Created{c.Instance, c.Name, c.CheckpointKey,
			event.Seal(c.CheckpointSigner), event.Seal(c.FlowKey[:]), c.CLI}}}, nil
	},
}
