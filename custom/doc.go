// Package custom is the slice of customers' own entities and events: types that
// are not known when the program is compiled.
//
// Definitions are JSON Schema documents (custom/schema). They stand in the log
// like everything else, change by commands, and make descriptors, so that
// customers' events are sealed, found, audited, erased and proved as built-in
// ones are. An event is published to a stream whose kind is the type of its
// entity; appliers (custom/apply) say what it changes, and the view holds what
// every entity is and was.
//
// What is promised: an event that was published is valid by the revision of its
// type that it names; a batch is recorded whole or not at all; what is unique is
// taken once. What is not: that an applier is right. One that fails leaves the
// entity as it was, marked with the position of the event and the reason, until
// it is mended. Design: docs/adr/0020-customers-types.md.
package custom
