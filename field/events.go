package field

import "muniment.dev/event"

// EventKept says that a device made an event that was not applied to its
// entity: because of a conflict, or because the entity is gone. It is kept as it
// was made. If Reason is "ask", a person decides about it.
type EventKept struct {
	Event        event.ID             `event:"event,public,tag=kept"` // its id
	Entity       event.ID             `event:"entity,public,subject,tag=entity"`
	Kind         string               `event:"kind,public"` // of the entity
	Organization event.ID             `event:"organization,public,tag=org"`
	Type         string               `event:"type,public"`
	Revision     int64                `event:"revision,public"`
	Reason       string               `event:"reason,public"` // ask, refuse, gone
	Replica      string               `event:"replica,public"`
	Base         int64                `event:"base,public"`     // what the device had pulled
	Occurred     event.Instant        `event:"occurred,public"` // as the device says
	Data         event.Sealed[string] `event:"data"`            // JSON
	Claimed      event.Sealed[string] `event:"claimed"`         // who did it, as the device says
	// What the event seals under others than its entity, JSON as well, goes when
	// they are erased.
	First      event.ID             `event:"first,public"`
	FirstData  event.Sealed[string] `event:"first-data,of=first"`
	Second     event.ID             `event:"second,public"`
	SecondData event.Sealed[string] `event:"second-data,of=second"`
	Third      event.ID             `event:"third,public"`
	ThirdData  event.Sealed[string] `event:"third-data,of=third"`
}

// ConflictDecided says what a person decided about an event that was kept:
// whether it was applied after all. The event itself is recorded beside this.
type ConflictDecided struct {
	Event        event.ID `event:"event,public,tag=kept"`
	Entity       event.ID `event:"entity,public,tag=entity"`
	Organization event.ID `event:"organization,public,tag=org"`
	Applied      bool     `event:"applied,public"`
}

// DuplicateFound says that two entities may be the same, by what their type
// declares. Not that they are: a person resolves it.
type DuplicateFound struct {
	Entity       event.ID `event:"entity,public,tag=entity"`
	Other        event.ID `event:"other,public,tag=other"` // the one that was there before
	Kind         string   `event:"kind,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Fields       []string `event:"fields,public"` // that are alike
}

// DuplicateResolved says what a person found: whether two entities are the same.
type DuplicateResolved struct {
	Entity       event.ID `event:"entity,public,tag=entity"`
	Other        event.ID `event:"other,public,tag=other"`
	Kind         string   `event:"kind,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Same         bool     `event:"same,public"`
	Kept         event.ID `event:"kept,public"` // of two that are the same, the one that goes on being used; zero: nobody said
	Said         int64    `event:"said,public"` // position of the event that said so, as a device published it; 0: it was said here
}

// DuplicateClosed says that two entities that may be the same cannot be compared
// any more, because one of them was deleted or erased before anybody resolved it.
type DuplicateClosed struct {
	Entity       event.ID `event:"entity,public,tag=entity"`
	Other        event.ID `event:"other,public,tag=other"`
	Kind         string   `event:"kind,public"`
	Organization event.ID `event:"organization,public,tag=org"`
	Gone         event.ID `event:"gone,public"` // which of the two
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[EventKept](typeKept, 1, "{actor} sent {type} for {entity} from a device; it was kept without being applied ({reason})"),
		event.Describe[ConflictDecided](typeDecided, 1, "{actor} decided about the event {event} of {entity} that was in conflict"),
		event.Describe[DuplicateFound](typeFound, 1, "{entity} may be the same as {other}: alike in {fields}"),
		event.Describe[DuplicateResolved](typeResolved, 1, "{actor} resolved whether {entity} and {other} are the same"),
		event.Describe[DuplicateClosed](typeClosed, 1, "{entity} and {other}, which may be the same, cannot be compared any more: {gone} is gone"),
	}
}

const (
	typeKept     = "field.event.kept"
	typeDecided  = "field.conflict.decided"
	typeFound    = "field.duplicate.found"
	typeResolved = "field.duplicate.resolved"
	typeClosed   = "field.duplicate.closed"
)

// Why an event was kept.
const (
	ReasonAsk    = "ask"
	ReasonRefuse = "refuse"
	ReasonGone   = "gone"
)

// Items of the context of records of devices' events, in clear.
const (
	ContextReplica = "replica" // which copy of the data made it: a random id of the installation
	ContextBase    = "base"    // the position up to which it had pulled
	ContextClock   = "clock"   // the time of the event, raised above all that it knew
)
