package custom

import "muniment.dev/event"

// DocumentPut says that a document of definitions is this from now on. What it
// amounts to is known at the schema.applied that ends the same change.
type DocumentPut struct {
	File string `event:"file,public,tag=schema"` // its name among the documents
	Text string `event:"text,public"`            // JSON Schema 2020-12
}

// DocumentRemoved says that a document is not among the definitions any more.
type DocumentRemoved struct {
	File string `event:"file,public,tag=schema"`
}

// ModulePut says that appliers and upcasters mean this WebAssembly module by
// the name from now on. The code stands beside the leaf, sealed under a subject
// of its own, because leaves are small; its digest stands in it.
type ModulePut struct {
	Name   string               `event:"name,public,tag=schema"`
	Module event.ID             `event:"module,public,subject"`
	SHA256 []byte               `event:"sha256,public"`
	Code   event.Sealed[[]byte] `event:"code"`
}

// ModuleRemoved says that there is no module of that name any more.
type ModuleRemoved struct {
	Name string `event:"name,public,tag=schema"`
}

// SchemaApplied ends a change of definitions: from here on they are what the
// documents and modules say. Rebuild says that entities, as they are served,
// follow from them in another way than before, so that all are computed anew;
// Exposed names the fields that were public in older revisions and are sealed
// in newer ones: what was recorded of them stays readable in the log.
//
// Claims names the unique fields, as TYPE/FIELD, whose values count from here on
// as they are claimed from here on: those of older entities are claimed anew.
// Searched names those that can be searched for otherwise than before. Compared
// is how many entities were computed with what is new before it was applied, of
// which Differ came out otherwise than they are served, and Fail have an applier
// that fails now and did not before.
type SchemaApplied struct {
	Added   []string `event:"added,public"` // entity types, and event types as type/revision
	Changed []string `event:"changed,public"`
	Removed []string `event:"removed,public"`
	Rebuild bool     `event:"rebuild,public"`
	Exposed []string `event:"exposed,public"`

	Claims   []string `event:"claims,public"`
	Searched []string `event:"searched,public"`
	Compared int64    `event:"compared,public"`
	Differ   int64    `event:"differ,public"`
	Fail     int64    `event:"fail,public"`
}

// ValuesIndexed says that of the entities that were there when a field became
// unique (at the schema.applied Since), those that came to be up to the position
// Through have their values claimed: Indexed of about Of. Held are those, at most
// a hundred, whose value another entity claimed before; they keep it unclaimed.
type ValuesIndexed struct {
	Entity   string     `event:"entity,public"`
	Field    string     `event:"field,public"`
	Since    int64      `event:"since,public"`
	Through  int64      `event:"through,public"`
	Indexed  int64      `event:"indexed,public"`
	Of       int64      `event:"of,public"`
	Complete bool       `event:"complete,public"`
	Held     []event.ID `event:"held,public"`
}

// ValueClaimed says that an entity, which held a value before that had to be
// unique, has it: no other may take it. The value itself is not stored.
type ValueClaimed struct {
	Entity       event.ID             `event:"entity,public,subject"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Type         string               `event:"type,public"`
	Field        string               `event:"field,public"`
	Value        event.Sealed[string] `event:"value,blind=entity.value,fold,only"`
}

// EntityErased says that whatever is sealed under an entity was erased, for
// good. The entity and what is public of it stay.
type EntityErased struct {
	Entity       event.ID `event:"entity,public,tag=entity"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// EntityErasureCompleted says that nothing sealed under the entity is left in
// any file.
type EntityErasureCompleted struct {
	Entity       event.ID `event:"entity,public,tag=entity"`
	Organization event.ID `event:"organization,public,tag=org"`
}

// Events are the built-in types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[DocumentPut]("schema.document.put", 1, "{actor} put the document {file} among the definitions"),
		event.Describe[DocumentRemoved]("schema.document.removed", 1, "{actor} removed the document {file} from the definitions"),
		event.Describe[ModulePut]("schema.module.put", 1, "{actor} put the module {name} among the definitions"),
		event.Describe[ModuleRemoved]("schema.module.removed", 1, "{actor} removed the module {name} from the definitions"),
		event.Describe[SchemaApplied]("schema.applied", 1, "{actor} changed the definitions: added {added}, changed {changed}, removed {removed}"),
		event.Describe[ValuesIndexed](indexed, 1, "{actor} claimed the values of {field} of {entity}: {indexed} of {of}"),
		event.Describe[ValueClaimed](claimed, 1, "{actor} claimed the {field} of {entity}, which it had before that had to be unique"),
		event.Describe[EntityErased]("entity.erased", 1, "{actor} erased everything sealed of {entity}"),
		event.Describe[EntityErasureCompleted]("entity.erasure.completed", 1, "Everything sealed of {entity} is gone from every file"),
	}
}

// schemaTypes are the types that definitions are folded from.
var schemaTypes = []string{"schema.document.put", "schema.document.removed", "schema.module.put", "schema.module.removed", applied, indexed}

const (
	applied = "schema.applied"
	indexed = "schema.values.indexed"
	claimed = "entity.value.claimed"
	erased  = "entity.erased"
)
