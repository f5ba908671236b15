// Package external is the slice of adapters: on a schedule each pushes events of
// some types of entities to one external system, pulls events from it, or both.
// The slice says which adapters there are and what was decided about them. How
// far an adapter is, is not here: that is the state of a delivery and stands in
// no record (docs/adr/0021-subscriptions.md). Design: docs/adr/0027-adapters.md.
package external

import "muniment.dev/event"

// Created says that an external system is to be kept in step from now on, with
// the rights of whoever said so. It does not say that it was reached.
type Created struct {
	Adapter      event.ID             `event:"adapter,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"` // zero: of the whole instance
	Owner        event.ID             `event:"owner,public,tag=user"`       // with whose rights events are read and published
	Name         string               `event:"name,public"`
	Direction    string               `event:"direction,public"` // push, pull, both
	URL          event.Sealed[string] `event:"url"`              // its path may be a secret
	EntityTypes  []string             `event:"entity-types,public"`
	Interval     int64                `event:"interval,public"` // seconds between two runs
	Batch        int64                `event:"batch,public"`
	Attempts     int64                `event:"attempts,public"`
	Unsealed     bool                 `event:"unsealed,public"`
	After        int64                `event:"after,public"` // the first that is pushed is the one behind this position
}

// Changed says how an adapter is from now on; whoever changed it is its owner.
type Changed struct {
	Adapter      event.ID             `event:"adapter,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Owner        event.ID             `event:"owner,public,tag=user"`
	Name         string               `event:"name,public"`
	URL          event.Sealed[string] `event:"url"`
	Interval     int64                `event:"interval,public"`
	Batch        int64                `event:"batch,public"`
	Attempts     int64                `event:"attempts,public"`
	Unsealed     bool                 `event:"unsealed,public"`
}

// CredentialSet says by what an adapter proves itself from now on, in place of
// what it had before.
type CredentialSet struct {
	Adapter      event.ID             `event:"adapter,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Kind         string               `event:"kind,public"`   // signature, bearer, basic
	Secret       event.Sealed[string] `event:"secret,secret"` // of signature the key as whsec_, of basic name:password
}

// Paused says that an adapter does nothing until it is resumed.
type Paused struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Stopped says that Muniment itself has an adapter do nothing any more, and why,
// until somebody resumes it.
type Stopped struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Reason       string   `event:"reason,public"`
}

// Resumed ends a pause or a stop; whoever resumed it is its owner.
type Resumed struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Owner        event.ID `event:"owner,public,tag=user"`
}

// RunRequested says that an adapter is to run at once. Not that it did.
type RunRequested struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// PushRewound says that what stands behind a position is pushed again.
type PushRewound struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	After        int64    `event:"after,public"`
}

// PullRewound says that everything is pulled from the beginning again. What is
// recorded already is not recorded again.
type PullRewound struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Removed says that an adapter is no more. Its secret stays sealed in the log.
type Removed struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Redriven says that an event which the external system refused is to be pushed
// anew. Not that it was taken then.
type Redriven struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Position     int64    `event:"position,public"`
}

// Discarded says that an event which the external system refused is given up:
// what waits behind it in its stream is pushed without it.
type Discarded struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Position     int64    `event:"position,public"`
}

// EventRefused says that an event which an external system offered was not
// recorded. What it said is not kept here: the external system still has it.
type EventRefused struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Event        event.ID `event:"event,public"`  // the id that it would have had
	Entity       event.ID `event:"entity,public"` // zero if it named none
	Reason       string   `event:"reason,public"` // invalid, denied, absent, waits
	Field        string   `event:"field,public"`  // where, as the schema names it
}

// EventDiscarded says that an event which an external system offered is given
// up: what it offers of the same entity is recorded without it.
type EventDiscarded struct {
	Adapter      event.ID `event:"adapter,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Event        event.ID `event:"event,public"`
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[Created]("adapter.created", 1, "{actor} set up the adapter {name} to an external system"),
		event.Describe[Changed]("adapter.changed", 1, "{actor} changed the adapter {name}"),
		event.Describe[CredentialSet]("adapter.credential.set", 1, "{actor} set what {adapter} proves itself by ({kind})"),
		event.Describe[Paused]("adapter.paused", 1, "{actor} paused {adapter}"),
		event.Describe[Stopped]("adapter.stopped", 1, "{adapter} was stopped: {reason}"),
		event.Describe[Resumed]("adapter.resumed", 1, "{actor} resumed {adapter}"),
		event.Describe[RunRequested]("adapter.run.requested", 1, "{actor} had {adapter} run at once"),
		event.Describe[PushRewound]("adapter.push.rewound", 1, "{actor} had {adapter} push again what stands behind position {after}"),
		event.Describe[PullRewound]("adapter.pull.rewound", 1, "{actor} had {adapter} pull everything again"),
		event.Describe[Removed]("adapter.removed", 1, "{actor} removed {adapter}"),
		event.Describe[Redriven]("adapter.dead-letter.redriven", 1, "{actor} had the event at position {position} pushed to {adapter} anew"),
		event.Describe[Discarded]("adapter.dead-letter.discarded", 1, "{actor} gave up pushing the event at position {position} to {adapter}"),
		event.Describe[EventRefused]("adapter.event.refused", 1, "an event {event} that {adapter} offered was not recorded ({reason})"),
		event.Describe[EventDiscarded]("adapter.event.discarded", 1, "{actor} gave up the event {event} that {adapter} offers"),
	}
}

// Stream is an adapter's stream.
func Stream(id event.ID) event.Stream { return event.Stream{Kind: "adapter", ID: id} }
