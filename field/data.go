package field

import (
	"maps"
	"slices"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// ErrSubjects refuses to keep an event for which a record has no room.
var ErrSubjects = fault.New(fault.Refused, "the event is in conflict and cannot be kept: its sealed fields are about more than three others besides its entity")

// part is what an event says of one subject.
type part struct {
	of   *event.ID
	data *event.Sealed[string]
}

// parts are those about others than the entity.
func (k *EventKept) parts() []part {
	return []part{{&k.First, &k.FirstData}, {&k.Second, &k.SecondData}, {&k.Third, &k.ThirdData}}
}

// Hold takes what an event says, each field under whom it is sealed under there.
func (k *EventKept) Hold(def *schema.Definition, data map[string]any) error {
	own, others := map[string]any{}, map[event.ID]map[string]any{}
	for name, v := range data {
		id := subjectOf(def, data, name)
		if id.IsZero() || id == k.Entity {
			own[name] = v
			continue
		}
		if others[id] == nil {
			others[id] = map[string]any{}
		}
		others[id][name] = v
	}
	k.Data = event.Seal(string(event.FormatJSON(own)))
	parts := k.parts()
	if len(others) > len(parts) {
		return ErrSubjects
	}
	ids := slices.SortedFunc(maps.Keys(others), func(a, b event.ID) int { return slices.Compare(a[:], b[:]) })
	for i, id := range ids {
		*parts[i].of, *parts[i].data = id, event.Seal(string(event.FormatJSON(others[id])))
	}
	return nil
}

// subjectOf is whom a field is sealed under by name; zero: nobody but the entity.
func subjectOf(def *schema.Definition, data map[string]any, name string) event.ID {
	f := def.Field(name)
	if f == nil || f.Public || f.Subject == "" {
		return event.ID{}
	}
	text, _ := data[f.Subject].(string)
	id, _ := event.ParseID(text)
	return id
}

// Said is what an event that was kept says, as far as it can be read, and
// whether that is all of it.
func (k *EventKept) Said() (data map[string]any, whole bool) {
	data, whole = map[string]any{}, true
	for _, p := range append(k.parts(), part{&k.Entity, &k.Data}) {
		text, ok := p.data.Get()
		if !ok {
			whole = whole && p.data.State == event.Absent
			continue
		}
		v, err := event.ParseJSON([]byte(text))
		fields, is := v.(map[string]any)
		if whole = whole && err == nil && is; is {
			maps.Copy(data, fields)
		}
	}
	return data, whole
}
