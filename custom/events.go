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
type SchemaApplied struct {
	Added   []string `event:"added,public"` // entity types, and event types as type/revision
	Changed []string `event:"changed,public"`
	Removed []string `event:"removed,public"`
	Rebuild bool     `event:"rebuild,public"`
	Exposed []string `event:"exposed,public"`
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
		event.Describe[EntityErased]("entity.erased", 1, "{actor} erased everything sealed of {entity}"),
		event.Describe[EntityErasureCompleted]("entity.erasure.completed", 1, "Everything sealed of {entity} is gone from every file"),
	}
}

// schemaTypes are the types that definitions are folded from.
var schemaTypes = []string{"schema.document.put", "schema.document.removed", "schema.module.put", "schema.module.removed", applied}

const (
	applied = "schema.applied"
	erased  = "entity.erased"
)
