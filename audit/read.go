// Package audit reads the log for people: who may see which events, what
// happened in a sentence, what a field was before, and the record of who read
// what. It knows descriptors only and no slice, so that a new event type
// appears here by itself.
package audit

import (
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// Read says that somebody read records of the log, and which. It does not say
// what they made of it.
type Read struct {
	Organization event.ID `event:"organization,public,tag=org"` // zero: of the whole instance
	Filter       string   `event:"filter,public"`               // what was asked for, without personal values
	From         int64    `event:"from,public"`                 // least position that was shown; 0 if none
	To           int64    `event:"to,public"`                   // greatest
	Count        int64    `event:"count,public"`
}

// Events are the types that this package owns.
func Events() []event.Descriptor {
	return []event.Descriptor{event.Describe[Read]("audit.read", 1, "{actor} read the log: {filter} (records shown: {count})")}
}

// RecordRead records that somebody read records.
type RecordRead struct {
	ID   event.ID // fresh: of the reading
	Read Read
}

// Recording decides RecordRead. Whether they might read was settled before.
var Recording = decide.Decider[struct{}, RecordRead]{
	Name:   "record a reading of the log",
	Query:  func(RecordRead) []decide.Facts { return nil },
	Evolve: func(s struct{}, _ event.Fact) struct{} { return s },
	Allow:  func(authz.Authority, struct{}, RecordRead) error { return nil },
	Decide: func(_ struct{}, c RecordRead) ([]event.New, error) {
		return []event.New{{Stream: event.Stream{Kind: "audit", ID: c.ID}, Payload: c.Read}}, nil
	},
}
