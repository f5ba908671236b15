package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Filter selects records; what is set must match.
type Filter struct {
	Types         []string       // any of these; "user.*" is every type that begins with "user.", as in permissions
	Streams       []event.Stream // any of these; a zero id stands for every stream of the kind
	Actors        []event.Actor  // any of these; a zero id stands for every actor of the kind
	Organizations []event.ID     // belongs to any of these
	Users         []event.ID     // about any of these users, acted on or acting
	Subjects      []event.SubjectID
	Tags          []event.Tag // all of these
	From, To      time.Time   // [From, To)
	After         event.Position
	Before        event.Position // 0: without end
	At            event.Position // up to here; 0: without end
	Begins        bool           // only the first record of each stream
}

// limits of a filter.
const (
	maxAny  = 50
	maxTags = 20
)

// Check reports what is wrong with a filter, or nil.
func (f Filter) Check() error {
	for _, d := range []struct {
		field string
		n     int
	}{{"types", len(f.Types)}, {"streams", len(f.Streams)}, {"actors", len(f.Actors)}, {"organization_ids", len(f.Organizations)},
		{"user_ids", len(f.Users)}, {"subject_ids", len(f.Subjects)}} {
		if d.n > maxAny {
			return fault.Field("filter."+d.field, "at most %d", maxAny)
		}
	}
	switch {
	case len(f.Tags) > maxTags:
		return fault.Field("filter.tags", "at most %d", maxTags)
	case !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To):
		return fault.Field("filter.to", "must be after filter.from")
	case f.Before > 0 && f.After >= f.Before:
		return fault.Field("filter.before_position", "must be after filter.after_position")
	}
	for i, t := range f.Types {
		if !authz.EventTypes(t).Valid() {
			return fault.Field(fmt.Sprintf("filter.types[%d]", i), "must be an event type such as user.locked, or user.* or order-* for all that begin so")
		}
	}
	return nil
}

// everyActor reports whether an actor stands for all of its kind. The system
// has no id.
func everyActor(a event.Actor) bool { return a.ID.IsZero() && a.Kind != event.System.Kind }

// Matches reports whether a record is one that the filter asks for, positions
// and times aside.
func (f Filter) Matches(r *event.Record) bool {
	return (!f.Begins || r.Version == 1) && anyOf(f.Types, func(t string) bool {
		return authz.EventTypes(t).Has(r.Type)
	}) && anyOf(f.Streams, func(s event.Stream) bool {
		return s == r.Stream || s.ID.IsZero() && s.Kind == r.Stream.Kind
	}) && anyOf(f.Actors, func(a event.Actor) bool {
		return a == r.Actor || everyActor(a) && a.Kind == r.Actor.Kind
	}) && anyOf(f.Organizations, func(o event.ID) bool {
		return slices.Contains(r.Tags, event.NewTag("org", o.String()))
	}) && anyOf(f.Users, func(u event.ID) bool {
		return r.Actor == event.Actor{Kind: "user", ID: u} || slices.Contains(r.Tags, event.NewTag("user", u.String()))
	}) && anyOf(f.Subjects, func(s event.SubjectID) bool {
		return slices.ContainsFunc(r.Blocks, func(b event.Block) bool { return b.Subject == s })
	}) && !slices.ContainsFunc(f.Tags, func(t event.Tag) bool { return !slices.Contains(r.Tags, t) })
}

// anyOf reports whether one of the wanted fits, or nothing is wanted.
func anyOf[T comparable](wanted []T, fits func(T) bool) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, fits)
}

// String says what a filter asks for, without personal values.
func (f Filter) String() string {
	var parts []string
	add := func(name string, values ...string) {
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, ","))
		}
	}
	add("types", f.Types...)
	add("stream", patterns(f.Streams)...)
	add("actor", patterns(f.Actors)...)
	add("organization", texts(f.Organizations)...)
	add("user", texts(f.Users)...)
	add("subject", texts(f.Subjects)...)
	if !f.From.IsZero() {
		add("from", f.From.UTC().Format(time.RFC3339))
	}
	if !f.To.IsZero() {
		add("to", f.To.UTC().Format(time.RFC3339))
	}
	if f.At > 0 {
		add("as of", strconv.FormatUint(uint64(f.At), 10))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

func texts[T fmt.Stringer](list []T) (out []string) {
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// patterns writes streams or actors, kind:* for those that stand for all.
func patterns[T event.Stream | event.Actor](list []T) (out []string) {
	for _, v := range list {
		if s := event.Stream(v); s.ID.IsZero() {
			out = append(out, s.Kind+":*")
		} else {
			out = append(out, s.String())
		}
	}
	return out
}
