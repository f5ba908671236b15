package custom

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muniment.dev/custom/apply"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Go are appliers and upcasters that are written in Go, by the names under
// which documents mean them: for programs that use Muniment as a library.
type Go struct {
	Appliers  map[string]func(apply.Input) (apply.Output, error)
	Upcasters map[string]func(map[string]any) (map[string]any, error)
}

// Definitions are documents made ready. They are immutable and safe for
// concurrent use.
type Definitions struct {
	At, Epoch event.Position // as in Documents
	Set       *schema.Set

	since    map[string]event.Position // by TYPE/FIELD: as in Claims
	searched map[string]event.Position // as in Documents
	programs map[string]*apply.Program // by event type: of its newest revision
	upcasts  map[revision]*apply.Upcast
	ends     map[string]lifetime // by entity type
	reach    map[revision][]reach
	writes   map[string]map[string]bool // by event type: fields of the entity; "*" for any
}

type revision struct {
	typ string
	n   uint32
}

// lifetime are the types of event that end an entity, and that make it.
type lifetime struct{ ends, makes []string }

// Reserved are the kinds of streams and the first words of event types that are
// Muniment's own, now or later. Kinds that come later and do not stand here will
// hold a dot, which no entity type may.
func Reserved() []string {
	return []string{"access", "adapter", "application", "archive", "assertion", "audit", "authorization", "backup", "checkpoint", "claim", "client", "consent", "credential",
		"custom", "deadletter", "delivery", "detection", "directory", "domain", "entity", "event", "factor", "field", "grant", "hook", "idp", "instance", "key", "ldap",
		"log", "login", "mail", "member", "muniment", "notification", "oauth", "oidc", "organization", "passkey", "permission", "policy", "project", "record",
		"reaction", "report", "role", "saml", "schema", "scim", "session", "setup", "signin", "stream", "subject", "subscription", "system", "tag", "token",
		"user", "view", "visitor", "webhook"}
}

// Define makes documents ready. Its error is a fault whose cause is a
// schema.Problems if the documents are at fault.
func Define(docs Documents, impl Go) (*Definitions, error) { return define(docs, impl, false) }

// Redefine is Define for documents that are recorded: words that were reserved
// since are no mistake of theirs.
func Redefine(docs Documents, impl Go) (*Definitions, error) { return define(docs, impl, true) }

func define(docs Documents, impl Go, recorded bool) (*Definitions, error) {
	d := &Definitions{At: docs.At, Epoch: docs.Epoch, since: map[string]event.Position{}, searched: docs.Searched, programs: map[string]*apply.Program{}, upcasts: map[revision]*apply.Upcast{}, ends: map[string]lifetime{}}
	for name, c := range docs.Claims {
		d.since[name] = c.Since
	}
	files := make(map[string][]byte, len(docs.Files))
	for name, text := range docs.Files {
		files[name] = []byte(text)
	}
	modules := make(map[string][]byte, len(docs.Modules))
	for name, m := range docs.Modules {
		modules[name] = m.Code
	}
	env := apply.Env{Modules: modules, Go: impl.Appliers, GoUpcasts: impl.Upcasters}
	set, err := schema.Parse(files, schema.Options{
		Recorded: recorded,
		Reserved: Reserved(),
		Apply:    func(def *schema.Definition, e *schema.Entity) ([]schema.Flow, error) { return d.compile(def, e, env) },
		Upcast: func(def, before *schema.Definition) (func(map[string]any) (map[string]any, error), error) {
			return d.compileUpcast(def, before, env)
		},
	})
	if err != nil {
		return nil, err
	}
	d.Set = set
	for _, e := range set.Events {
		l := d.ends[e.Entity]
		if d.programs[e.Name].Deletes() {
			l.ends = append(l.ends, e.Name)
		} else if e.Latest().Creates {
			l.makes = append(l.makes, e.Name)
		}
		d.ends[e.Entity] = l
	}
	for name, l := range d.ends {
		slices.Sort(l.ends)
		slices.Sort(l.makes)
		d.ends[name] = l
	}
	d.trace()
	if err := d.checkSubjects(); err != nil || recorded {
		return d, err
	}
	return d, d.foresee()
}

func (d *Definitions) compile(def *schema.Definition, e *schema.Entity, env apply.Env) ([]schema.Flow, error) {
	env.EventFields, env.EntityFields = names(def.Fields), names(e.Fields)
	p, err := apply.Compile(def.Apply, env)
	if err != nil {
		return nil, err
	}
	d.programs[def.Event] = p // revisions come in order: the newest stays
	return schema.FlowsOf(p.Flows()), nil
}

func (d *Definitions) compileUpcast(def, before *schema.Definition, env apply.Env) (func(map[string]any) (map[string]any, error), error) {
	if def.Upcast == nil {
		return func(v map[string]any) (map[string]any, error) { return v, nil }, nil
	}
	env.EventFields, env.OldFields = names(def.Fields), names(before.Fields)
	u, err := apply.CompileUpcast(def.Upcast, env)
	if err != nil {
		return nil, err
	}
	d.upcasts[revision{def.Event, def.Revision}] = u
	def.UpFlows = schema.FlowsOf(u.Flows())
	return func(v map[string]any) (map[string]any, error) { return u.Up(context.Background(), v) }, nil
}

// up brings the value of a stored revision up to the newest.
func (d *Definitions) up(ctx context.Context, def *schema.Definition, value map[string]any, gone map[string]bool) (map[string]any, map[string]bool, error) {
	newest := uint32(len(d.Set.Events[def.Event].Revisions))
	for n := def.Revision + 1; n <= newest; n++ {
		u := d.upcasts[revision{def.Event, n}]
		if u == nil {
			continue
		}
		var err error
		if value, gone, err = u.UpErased(ctx, value, gone); err != nil {
			return nil, nil, fault.Wrap(fmt.Sprintf("bring %s up to revision %d", def.Event, n), err)
		}
	}
	return value, gone, nil
}

// Up is what a stored event says in the terms of its type's newest revision.
func (d *Definitions) Up(ctx context.Context, c event.Custom) (map[string]any, *schema.Definition, error) {
	def := d.Set.Definition(c.Type, c.Revision)
	if def == nil {
		return nil, nil, fault.New(fault.NotFound, "nothing is defined for %s revision %d", c.Type, c.Revision)
	}
	value, _, err := d.up(ctx, def, def.Value(c), goneFields(c))
	return value, d.Set.Events[c.Type].Latest(), err
}

// MaxSubjects is how many fields of an entity type may point to subjects of
// its sealed fields, besides the entity itself.
const MaxSubjects = 3

// checkSubjects refuses more subjects than a row has room for, and what would
// outlive its subject: a field of one subject that feeds a field of another.
func (d *Definitions) checkSubjects() error {
	for _, name := range slices.Sorted(maps.Keys(d.Set.Entities)) {
		if e := d.Set.Entities[name]; len(subjectFields(e)) > MaxSubjects {
			return fault.Field(e.File, "the sealed fields of %s belong to more than %d subjects besides the entity itself; split the entity", name, MaxSubjects)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Set.Events)) {
		def := d.Set.Events[name].Latest()
		e := d.Set.Entities[def.Entity]
		for _, end := range d.programs[name].Ends() {
			if f := fieldAt(end, def, e); f != nil && !f.Public {
				return fault.Field(def.File, "%s is sealed and decides whether %s is deleted, which everybody sees, and which nobody could tell when it was erased; make it public, or decide by another field", f.Name, e.Name)
			}
		}
		for _, fl := range def.Flows {
			if from, to := crosses(fl, def, e); from != nil {
				return fault.Field(def.File, "%s is sealed under another subject than %s of %s, which it feeds; give both the same x-subject, so that erasing one person leaves nothing of them", from.Name, to.Name, e.Name)
			}
		}
	}
	return nil
}

// fieldAt is the field that an applier names so.
func fieldAt(name string, def *schema.Definition, e *schema.Entity) *schema.Field {
	if name, ok := strings.CutPrefix(name, "state."); ok {
		return e.Field(name)
	}
	return def.Field(strings.TrimPrefix(name, "event."))
}

// crosses finds a sealed field that feeds one of another subject.
func crosses(fl schema.Flow, def *schema.Definition, e *schema.Entity) (from, to *schema.Field) {
	sources := def.Fields
	if fl.State {
		sources = e.Fields
	}
	for i := range sources {
		from := &sources[i]
		if from.Public || fl.From != "" && fl.From != from.Name {
			continue
		}
		for j := range e.Fields {
			to := &e.Fields[j]
			feeds := fl.To == to.Name || fl.To == "" && (fl.From != "" || from.Name == to.Name)
			if feeds && !to.Public && from.Subject != to.Subject {
				return from, to
			}
		}
	}
	return nil, nil
}

// subjectFields are the fields that point to subjects of an entity's sealed
// fields, in order.
func subjectFields(e *schema.Entity) []string {
	var out []string
	for i := range e.Fields {
		if s := e.Fields[i].Subject; s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func names(fields []schema.Field) []string {
	out := make([]string, len(fields))
	for i := range fields {
		out[i] = fields[i].Name
	}
	return out
}

// Undefined are the definitions of a log in which nothing was ever defined.
func Undefined() *Definitions {
	d, err := Define(Documents{}, Go{})
	if err != nil {
		panic("custom: " + err.Error()) // nothing cannot be wrong
	}
	return d
}

// Lifetime are the types of event that end an entity, and those that make it
// anew after that; none if nothing ends it.
func (d *Definitions) Lifetime(entityType string) (ends, makes []string) {
	l := d.ends[entityType]
	if len(l.ends) == 0 {
		return nil, nil
	}
	return l.ends, l.makes
}

// Unique reports whether entities of a type have values that no other has.
func (d *Definitions) Unique(entityType string) bool {
	t := d.Set.Entities[entityType]
	return t != nil && slices.ContainsFunc(t.Fields, func(f schema.Field) bool { return f.Unique != "" })
}

// Since is the position from which on claims of a unique field count; 0: always.
func (d *Definitions) Since(entity, field string) event.Position {
	return d.since[FieldName(entity, field)]
}

// Searched is the position of the change of definitions since which a field can
// be searched for as it can; 0: always. A view of an earlier epoch does not.
func (d *Definitions) Searched(entity, field string) event.Position {
	return d.searched[FieldName(entity, field)]
}

// OrganizationOf is the organization that a record of a customer's event names;
// zero if none.
func OrganizationOf(r *event.Record) event.ID {
	for _, t := range r.Tags {
		if name, value, _ := strings.Cut(string(t), ":"); name == schema.TagOrganization {
			id, _ := event.ParseID(value)
			return id
		}
	}
	return event.ID{}
}

// About reports whether a record of Muniment's own is about an entity: that it
// was erased, or what a device did to it that was not applied. It goes with it.
func About(r *event.Record, entity event.ID) bool {
	return slices.Contains(r.Tags, event.NewTag("entity", entity.String()))
}
