package custom

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/view"
)

// MaxIndexed is how many bytes of a value can be searched for; what is longer
// is found by its beginning.
const MaxIndexed = 256

// maxElements is how many elements of a list can be searched for.
const maxElements = 64

// indexRow is a row that follows from one field of an entity.
type indexRow struct {
	key, set view.Values
	text     string // all of it, for comparing
}

// valueRows are the rows of an entity's searchable fields that are public, by key.
func valueRows(t *schema.Entity, e *Entity) map[string]indexRow {
	if e == nil || e.Deleted {
		return nil
	}
	out := map[string]indexRow{}
	for i := range t.Fields {
		f := &t.Fields[i]
		if !f.Public || f.Search == "" && f.Unique == "" {
			continue
		}
		for n, v := range elements(e.Fields[f.Name]) {
			out[fmt.Sprintf("%s\x00%d", f.Name, n)] = indexRow{
				key: view.Values{"id": e.ID, "type": e.Type, "field": f.Name, "n": n},
				set: view.Values{"organization": optional(e.Organization), "value": Index(v)}, text: e.Organization.String() + Index(v)}
		}
	}
	return out
}

// sealedRows are the changes of the rows of searchable fields that are sealed:
// one for each, whether it holds anything or not, and again with each event
// whose type may write the field, or that names another subject. So what rows
// there are tells nothing, and stays the same when what they held was erased.
func (d *Definitions) sealedRows(t *schema.Entity, before, after *Entity, f event.Fact) (out []view.Change) {
	began := before == nil || before.Deleted && !after.Deleted
	ended := before != nil && !before.Deleted && after.Deleted
	if after.Deleted && !ended {
		return nil
	}
	for i := range t.Fields {
		field := &t.Fields[i]
		if field.Public || field.Search == "" && field.Unique == "" {
			continue
		}
		key := view.Values{"id": after.ID, "type": after.Type, "field": field.Name, "n": 0}
		if ended {
			out = append(out, view.Remove(Values, key))
			continue
		}
		subject := Subject(t, after, field.Name)
		if !began && !d.writesTo(f, field.Name) && Subject(t, before, field.Name) == subject {
			continue
		}
		value := event.Sealed[string]{State: event.Erased}
		if !slices.Contains(after.Gone, subject) {
			value = event.Seal("")
			if single := elements(after.Fields[field.Name]); len(single) == 1 {
				value = event.Seal(Index(single[0]))
			}
		}
		out = append(out, view.Put(Values, key, view.Values{"organization": optional(after.Organization), "subject": subject, "sealed": value}))
	}
	return out
}

// writesTo reports whether a field may be another after an event of that type,
// by what its applier declares.
func (d *Definitions) writesTo(f event.Fact, field string) bool {
	c, ok := f.Payload.(event.Custom)
	if !ok {
		return true
	}
	w := d.writes[c.Type]
	return w["*"] || w[field]
}

// pointerRows are the rows of what an entity points to.
func pointerRows(t *schema.Entity, e *Entity) map[string]indexRow {
	if e == nil || e.Deleted {
		return nil
	}
	out := map[string]indexRow{}
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Ref == "" || !f.Public {
			continue
		}
		for _, v := range list(e.Fields[f.Name]) {
			text, _ := v.(string)
			id, err := event.ParseID(text)
			if err != nil {
				continue
			}
			out[f.Name+"\x00"+id.String()] = indexRow{key: view.Values{"id": e.ID, "type": e.Type, "field": f.Name, "other": id},
				set: view.Values{"organization": optional(e.Organization)}, text: e.Organization.String()}
		}
	}
	return out
}

func optional(id event.ID) any {
	if id.IsZero() {
		return nil
	}
	return id
}

// difference are the changes that make a table's rows of one state those of
// another, in the order of their keys.
func difference(table string, before, after map[string]indexRow) (out []view.Change) {
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[k]; !ok {
			out = append(out, view.Remove(table, before[k].key))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if old, ok := before[k]; !ok || old.text != after[k].text {
			out = append(out, view.Put(table, after[k].key, after[k].set))
		}
	}
	return out
}

// elements are the single values of a field that can be searched for.
func elements(v any) []any {
	all := list(v)
	return slices.DeleteFunc(all[:min(len(all), maxElements)], func(v any) bool {
		switch v.(type) {
		case string, bool, int64, json.Number:
			return false
		}
		return true
	})
}

func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return slices.Clone(v)
	}
	return []any{v}
}

// Index is the form of a single value by which it is searched and sorted: the
// beginning of a text, and a number so that texts sort as numbers do.
func Index(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > MaxIndexed {
			return strings.ToValidUTF8(v[:MaxIndexed], "")
		}
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	case int64:
		return indexNumber(float64(v)) + " " + string(event.FormatJSON(v))
	case json.Number:
		n, _ := v.Float64()
		return indexNumber(n) + " " + v.String()
	}
	return ""
}

// indexNumber writes a number as 16 digits that sort as numbers do; numbers
// that differ by less than floating point tells stay in any order.
func indexNumber(n float64) string {
	bits := math.Float64bits(n)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return fmt.Sprintf("%016x", bits)
}

// Indexed are the forms by which the values of an entity's field are searched.
func Indexed(e *Entity, field string) []string {
	values := elements(e.Fields[field])
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = Index(v)
	}
	return out
}
