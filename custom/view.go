package custom

import (
	"maps"
	"slices"
	"strconv"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The view and its tables: of entities; of the values by which they are found and sorted;
// and of what points to what.
const (
	ViewName = "entities"
	Table    = "entities"
	Values   = "entity_values"
	Pointers = "entity_refs"
)

// Source gives the definitions by which a view computes entities: those of its
// epoch, as far as they are known, else the newest.
type Source interface {
	Defined(epoch event.Position, typ string, revision uint32) *Definitions
}

// View declares the tables as they follow from the definitions of one epoch.
// builtIn reports whether an event type is Muniment's own.
func View(epoch event.Position, s Source, builtIn func(string) bool) view.View {
	f := folder{epoch: epoch, source: s}
	return view.View{
		Name: ViewName, Revision: 3, Epoch: uint64(epoch), Types: []string{"entity.erased"},
		Wants: func(typ string) bool { return !builtIn(typ) },
		Fold:  &view.Fold{Table: Table, Key: f.key, Read: func(r view.Row) any { return Read(r) }, Apply: f.apply},
		Tables: []view.Table{{
			Name:    Table,
			Key:     []string{"id", "type"},
			Columns: columns,
			Indexes: [][]string{{"type", entity.Order}, {"type", "organization", entity.Order}, {"type", "changed"}},
			Sparse:  [][]string{{"failed"}},
		}, {
			Name: Values,
			Key:  []string{"id", "type", "field", "n"},
			Columns: []view.Column{
				{Name: "id", Kind: event.IDRef}, {Name: "field", Kind: event.Text}, {Name: "n", Kind: event.Int},
				{Name: "type", Kind: event.Text}, {Name: "organization", Kind: event.IDRef}, {Name: "subject", Kind: event.IDRef},
				{Name: "value", Kind: event.Text}, {Name: "sealed", Kind: event.Text, Personal: "subject"},
			},
			Indexes: [][]string{{"type", "field", "value"}},
			Prefix:  []string{"value", "sealed"},
		}, {
			Name: Pointers,
			Key:  []string{"id", "type", "field", "other"},
			Columns: []view.Column{
				{Name: "id", Kind: event.IDRef}, {Name: "field", Kind: event.Text}, {Name: "other", Kind: event.IDRef},
				{Name: "type", Kind: event.Text}, {Name: "organization", Kind: event.IDRef},
			},
			Indexes: [][]string{{"other", "type"}},
		}, alikeTable()},
	}
}

func entityColumns() []view.Column {
	out := []view.Column{
		{Name: "id", Kind: event.IDRef}, {Name: "type", Kind: event.Text}, {Name: "organization", Kind: event.IDRef},
		{Name: "deleted", Kind: event.Bool}, {Name: "erased", Kind: event.Bool}, {Name: "failed", Kind: event.Int}, {Name: "problem", Kind: event.Text},
		{Name: "public", Kind: event.Text}, {Name: "sealed", Kind: event.Text, Personal: "id"},
	}
	for n := range MaxSubjects {
		subject, sealed := slot(n)
		out = append(out, view.Column{Name: subject, Kind: event.IDRef}, view.Column{Name: sealed, Kind: event.Text, Personal: subject})
	}
	return out
}

// slot names the columns of a further subject and of what is sealed under it.
func slot(n int) (subject, sealed string) { return slots[n][0], slots[n][1] }

var slots = func() (out [MaxSubjects][2]string) {
	for n := range out {
		out[n] = [2]string{"subject" + strconv.Itoa(n+1), "sealed" + strconv.Itoa(n+1)}
	}
	return out
}()

// columns are those of the entities' table.
var columns = entity.Columns(entityColumns()...)

type folder struct {
	epoch  event.Position
	source Source
}

func (f folder) key(fact event.Fact) (view.Values, bool) {
	return view.Values{"id": fact.Stream.ID, "type": fact.Stream.Kind}, true
}

func (f folder) apply(state any, fact event.Fact) (any, []view.Change, error) {
	before, _ := state.(*Entity)
	d := f.definitions(fact)
	if d == nil {
		return nil, nil, fault.New(fault.Internal, "nothing is defined for %s revision %d", fact.Type, fact.Revision)
	}
	after, err := d.Fold(before, fact)
	if err != nil {
		return nil, nil, err
	}
	return after, d.changes(before, after, fact), nil
}

func (f folder) definitions(fact event.Fact) *Definitions {
	if c, ok := fact.Payload.(event.Custom); ok {
		return f.source.Defined(f.epoch, c.Type, c.Revision)
	}
	return f.source.Defined(f.epoch, "", 0)
}

// changes bring the rows from one state of an entity to another.
func (d *Definitions) changes(before, after *Entity, f event.Fact) []view.Change {
	t := d.Set.Entities[after.Type]
	if t == nil {
		t = &schema.Entity{Name: after.Type}
	}
	set := d.row(t, after)
	set["version"], set["position"], set["changed"] = after.Version, after.Position, after.Changed
	set[entity.Order], set["created"] = after.Added, after.Created
	out := []view.Change{view.Put(Table, view.Values{"id": after.ID, "type": after.Type}, set)}
	out = append(out, difference(Values, valueRows(t, before), valueRows(t, after))...)
	out = append(out, d.sealedRows(t, before, after, f)...)
	out = append(out, d.alikeRows(t, before, after, f)...)
	return append(out, difference(Pointers, pointerRows(t, before), pointerRows(t, after))...)
}

// row are the columns of the entities' table that hold the state.
func (d *Definitions) row(t *schema.Entity, e *Entity) view.Values {
	set := make(view.Values, len(columns))
	set["deleted"], set["erased"], set["failed"], set["problem"] = e.Deleted, e.Erased, nil, nil
	if e.Failed > 0 {
		set["failed"], set["problem"] = e.Failed, e.Problem
	}
	if !e.Organization.IsZero() {
		set["organization"] = e.Organization
	}
	public, own := map[string]any{}, map[string]any{}
	subjects := subjectFields(t)
	others := make([]map[string]any, len(subjects))
	for name, v := range e.Fields {
		f := t.Field(name)
		id := Subject(t, e, name)
		n := -1
		if f != nil && f.Subject != "" && id != e.ID {
			n = slices.Index(subjects, f.Subject)
		}
		switch {
		case id.IsZero():
			public[name] = v
		case n < 0:
			own[name] = v
		default:
			others[n] = with(others[n], name, v)
		}
	}
	set["public"], set["sealed"] = string(event.FormatJSON(public)), sealedText(e, e.ID, own)
	for n := range MaxSubjects {
		subject, sealed := slot(n)
		set[subject] = nil
		if n >= len(subjects) {
			continue
		}
		if id := pointer(e, subjects[n]); !id.IsZero() && id != e.ID {
			set[subject], set[sealed] = id, sealedText(e, id, others[n])
		}
	}
	return set
}

func pointer(e *Entity, field string) event.ID {
	text, _ := e.Fields[field].(string)
	id, _ := event.ParseID(text)
	return id
}

// sealedText is what a column holds of a subject's fields.
func sealedText(e *Entity, subject event.ID, fields map[string]any) event.Sealed[string] {
	if slices.Contains(e.Gone, subject) {
		return event.Sealed[string]{State: event.Erased}
	}
	if fields == nil {
		fields = map[string]any{}
	}
	return event.Seal(string(event.FormatJSON(fields)))
}

// Read is the entity that a row of Table is about, with all that can be read.
func Read(r view.Row) *Entity {
	common := entity.Of(r)
	e := &Entity{Type: r.Text("type"), ID: r.ID("id"), Organization: r.ID("organization"),
		Added: event.Position(r.Int(entity.Order)), Created: event.Instant(common.Created.UnixMicro()), Changed: event.Instant(common.Changed.UnixMicro()),
		Version: common.Version, Position: common.Position, Deleted: r.Bool("deleted"), Erased: r.Bool("erased"),
		Failed: event.Position(r.Int("failed")), Problem: r.Text("problem")}
	e.take(r.Text("public"))
	e.open(r, "id", "sealed")
	for n := range MaxSubjects {
		subject, sealed := slot(n)
		e.open(r, subject, sealed)
	}
	if e.Deleted {
		e.Fields = nil
	}
	return e
}

func (e *Entity) open(r view.Row, subject, column string) {
	text := view.Personal[string](r, column)
	switch text.State {
	case event.Erased:
		e.Gone = goneWith(e.Gone, r.ID(subject))
	case event.Present:
		e.take(text.Value)
	}
}

func (e *Entity) take(text string) {
	v, err := event.ParseJSON([]byte(text))
	fields, _ := v.(map[string]any)
	if err != nil || len(fields) == 0 {
		return
	}
	if e.Fields == nil {
		e.Fields = make(map[string]any, len(fields))
	}
	maps.Copy(e.Fields, fields)
}
