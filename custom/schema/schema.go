// Package schema turns customers' JSON Schema documents (2020-12, with
// annotations) into definitions: what an entity type is, and what each revision
// of an event type says, with the descriptor that makes it as good as a
// built-in one. It checks values against them and plans what becomes of one
// set of documents when another takes its place.
//
// It is pure: documents come as bytes, and no reference leads out of the set,
// to a file or to the network. What a document may cost is limited (limits.go).
// What an applier or an upcaster means is decided by custom/apply. The
// annotations are specified in docs/reference/schema.md.
package schema

import (
	"strings"

	"muniment.dev/custom/apply"
	"muniment.dev/event"
)

// Set is all that one instance defined. It is immutable and safe for
// concurrent use.
type Set struct {
	Entities map[string]*Entity
	Events   map[string]*Event
	// Warnings are what Parse would have done otherwise, and takes nonetheless.
	Warnings Problems
	// Documents are the documents as they were given, by file name, those that
	// others only point to among them.
	Documents map[string][]byte
}

// Definition returns what is known of a revision of an event type, or nil.
func (s *Set) Definition(typ string, revision uint32) *Definition {
	e := s.Events[typ]
	if e == nil || revision == 0 || int(revision) > len(e.Revisions) {
		return nil
	}
	return e.Revisions[revision-1]
}

// Entity is a type of entity: a household, an order.
type Entity struct {
	Name        string
	File        string // which document says so
	Title       string
	Description string
	Fields      []Field // in the document's order
	Retention   int     // for how many days after its last event an entity's sealed fields are kept; 0: until erased
	Retired     bool    // no new ones are made
	Duplicates  []Rule  // what makes two of them possible duplicates
	Document    map[string]any

	accepts string
	check   *checker
}

// Field returns the field of that name, or nil.
func (e *Entity) Field(name string) *Field { return fieldOf(e.Fields, name) }

// Event is an event type with all its revisions, from 1.
type Event struct {
	Name      string
	Entity    string
	Revisions []*Definition
}

// Latest returns the newest revision: the one that is published.
func (e *Event) Latest() *Definition { return e.Revisions[len(e.Revisions)-1] }

// Definition is one revision of an event type.
type Definition struct {
	Event       string
	Revision    uint32
	Entity      string
	File        string // which document says so
	Title       string
	Description string
	Sentence    string // with {field}, {entity} and {actor}
	Fields      []Field
	Creates     bool // may be the first event of its entity
	Conflict    Conflict
	Retired     bool // is not published any more
	Apply       any  // as in the document; nil: custom/apply's default
	Upcast      any  // as in the document; nil: values of the revision before are taken as they are
	Examples    []map[string]any
	Flows       []Flow // which fields feed which fields of the entity
	UpFlows     []Flow // which fields of the revision before feed which, besides those of the same name; set by Options.Upcast
	Document    map[string]any
	Descriptor  event.Descriptor

	creates  *bool // as annotated
	accepts  string
	expanded any // without references and annotations: what is accepted
	check    *checker
}

// Field returns the field of that name, or nil.
func (d *Definition) Field(name string) *Field { return fieldOf(d.Fields, name) }

// Conflict is what becomes of an event that a device made without knowing
// what others did to the entity meanwhile.
type Conflict string

// The ways to settle a conflict.
const (
	Merge      Conflict = "merge"       // by field: what only one of them changed stands
	LastWriter Conflict = "last-writer" // the later one stands
	Refuse     Conflict = "refuse"      // the later one is refused
	Ask        Conflict = "ask"         // a person decides
)

// Search is how a field can be searched for.
type Search string

// The ways to search.
const (
	Exact  Search = "exact"  // by the whole value, whatever its case
	Prefix Search = "prefix" // by how it begins, too
)

// Field is one property of a document's root.
type Field struct {
	Name        string
	Title       string
	Description string
	Kind        Kind
	Public      bool   // else sealed
	Subject     string // of sealed fields: the public field whose value is the subject; "": the entity
	Search      Search // of entities
	Unique      string // of entities: "instance", "organization" or the pointer of a public field; "": not
	Ref         string // the type of the entity that it points to
	Tag         bool   // of events: its value can be selected by

	pointer string
}

// Path is the field's RFC 6901 pointer in a value.
func (f *Field) Path() string { return "/" + f.Name } // names need no escape

// Kind is what a field holds, as far as it matters for what can be done with it.
type Kind string

// The kinds.
const (
	Text    Kind = "text"    // a string
	UUID    Kind = "uuid"    // a string of format uuid
	UUIDs   Kind = "uuids"   // a list of them
	Integer Kind = "integer" //
	Bool    Kind = "boolean" //
	Value   Kind = "value"   // anything else
)

// Flow says that what a field holds reaches a field of the entity. Both are
// names; "" stands for all fields, and in both for all those of the same name.
type Flow struct {
	From  string // of the event
	To    string // of the entity
	State bool   // From is of the entity, too: of its state before
}

// FlowsOf translates what custom/apply says of a program.
func FlowsOf(flows []apply.Flow) []Flow {
	out := make([]Flow, 0, len(flows))
	for _, f := range flows {
		of, name, _ := strings.Cut(f.From, ".")
		if of != "event" && of != "state" {
			continue
		}
		out = append(out, Flow{From: strings.TrimPrefix(name, "*"), To: strings.TrimPrefix(f.To, "*"), State: of == "state"})
	}
	return out
}

// Options is what Parse has to know of the world.
type Options struct {
	// Recorded says that the documents were taken once and are in force. Their
	// names are not judged again: a later version may reserve more of them.
	Recorded bool
	// Reserved are the kinds of streams that are built in, or will be: no entity
	// is named so, and no event type begins so before a dot.
	Reserved []string
	// Apply checks an event's applier, and says what flows where; nil takes any.
	Apply func(d *Definition, e *Entity) ([]Flow, error)
	// Upcast makes of a revision's x-upcast what brings values of the revision
	// before up to it; nil takes any.
	Upcast func(d, before *Definition) (func(map[string]any) (map[string]any, error), error)
}

func fieldOf(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}
