package audit

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Filter selects records; what is set must match.
type Filter struct {
	Types        []string // any of these; "user.*" is every type that begins with "user."
	Stream       event.Stream
	Actor        event.Actor
	Organization event.ID
	User         event.ID // about this user, acted on or acting
	Tags         []event.Tag
	From, To     time.Time // [From, To)
	After        event.Position
	Before       event.Position // 0: without end
}

// limits of a filter.
const (
	maxTypes = 50
	maxTags  = 20
)

// Check reports what is wrong with a filter, or nil.
func (f Filter) Check() error {
	switch {
	case len(f.Types) > maxTypes:
		return fault.Field("filter.types", "at most %d", maxTypes)
	case len(f.Tags) > maxTags:
		return fault.Field("filter.tags", "at most %d", maxTags)
	case !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To):
		return fault.Field("filter.to", "must be after filter.from")
	}
	for i, t := range f.Types {
		if !event.IsName(strings.TrimSuffix(t, ".*")) {
			return fault.Field(fmt.Sprintf("filter.types[%d]", i), "must be an event type such as user.locked, or user.* for all that begin so")
		}
	}
	return nil
}

// String says what a filter asks for, without personal values.
func (f Filter) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("types", strings.Join(f.Types, ","))
	if !f.Stream.IsZero() {
		add("stream", f.Stream.String())
	}
	if f.Actor != (event.Actor{}) {
		add("actor", f.Actor.String())
	}
	if !f.Organization.IsZero() {
		add("organization", f.Organization.String())
	}
	if !f.User.IsZero() {
		add("user", f.User.String())
	}
	if !f.From.IsZero() {
		add("from", f.From.UTC().Format(time.RFC3339))
	}
	if !f.To.IsZero() {
		add("to", f.To.UTC().Format(time.RFC3339))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// Sight is which records a person may see: those of the whole instance, of
// some organizations, and those about themself.
type Sight struct {
	All           bool
	Organizations []event.ID
	Self          event.ID
	who           authz.Authority
}

// Of is what an authority may see.
func Of(a authz.Authority) Sight {
	s := Sight{who: a}
	s.All, s.Organizations = a.Organizations(authz.ReadEvents)
	if a.Actor.Kind == "user" && !a.Blocked() {
		s.Self = a.Actor.ID
	}
	return s
}

// Sees reports whether a record may be seen, by its organization tags or
// because it is about the person themself.
func (s Sight) Sees(r *event.Record) bool { return s.may(r, authz.ReadEvents) || s.own(r) }

func (s Sight) may(r *event.Record, right authz.Right) bool {
	if s.who.May(right, authz.Instance) {
		return true
	}
	return slices.ContainsFunc(Organizations(r), func(o event.ID) bool { return s.who.May(right, authz.Of(o)) })
}

func (s Sight) own(r *event.Record) bool {
	return !s.Self.IsZero() && (r.Actor == (event.Actor{Kind: "user", ID: s.Self}) || slices.Contains(r.Tags, event.NewTag("user", s.Self.String())))
}

// Opens reports whether the sealed fields of a block's subject may be seen:
// one's own, or with the right to read sealed fields.
func (s Sight) Opens(r *event.Record, subject event.SubjectID) bool {
	return s.may(r, authz.ReadSealed) || !s.Self.IsZero() && subject.ID == s.Self && s.own(r)
}

// Organizations lists the organizations that a record belongs to.
func Organizations(r *event.Record) []event.ID {
	var out []event.ID
	for _, t := range r.Tags {
		if v, ok := strings.CutPrefix(string(t), "org:"); ok {
			if id, err := event.ParseID(v); err == nil {
				out = append(out, id)
			}
		}
	}
	return out
}

// Query is what selects the records that a filter asks for and a sight allows.
func Query(f Filter, s Sight, reg *event.Registry, log event.LogID) event.Query {
	base := event.Item{Types: types(f.Types, reg, log)}
	if len(f.Types) > 0 && len(base.Types) == 0 {
		return nil
	}
	if !f.Stream.IsZero() {
		base.All = append(base.All, event.StreamTerm(f.Stream))
	}
	if f.Actor != (event.Actor{}) {
		base.All = append(base.All, event.ActorTerm(f.Actor))
	}
	if !f.Organization.IsZero() {
		base.All = append(base.All, orgTerm(f.Organization))
	}
	for _, t := range f.Tags {
		base.All = append(base.All, event.TagTerm(t))
	}
	q := event.Query{base}
	if !f.User.IsZero() {
		q = event.Query{with(base, userTerm(f.User)), with(base, event.ActorTerm(event.Actor{Kind: "user", ID: f.User}))}
	}
	if s.All {
		return q
	}
	var allowed []event.Term
	for _, o := range s.Organizations {
		allowed = append(allowed, orgTerm(o))
	}
	if !s.Self.IsZero() {
		allowed = append(allowed, userTerm(s.Self), event.ActorTerm(event.Actor{Kind: "user", ID: s.Self}))
	}
	var out event.Query
	for _, it := range q {
		for _, t := range allowed {
			out = append(out, with(it, t))
		}
	}
	return out
}

func with(it event.Item, t event.Term) event.Item {
	it.All = append(slices.Clone(it.All), t)
	return it
}

func orgTerm(id event.ID) event.Term { return event.TagTerm(event.NewTag("org", id.String())) }

func userTerm(id event.ID) event.Term { return event.TagTerm(event.NewTag("user", id.String())) }

// types expands "user.*" to the types that are known.
func types(wanted []string, reg *event.Registry, log event.LogID) []string {
	var out []string
	for _, w := range wanted {
		prefix, all := strings.CutSuffix(w, "*")
		if !all {
			out = append(out, w)
			continue
		}
		for _, d := range reg.All(log) {
			if strings.HasPrefix(d.Type, prefix) {
				out = append(out, d.Type)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Span returns the positions (after, upto] that a filter's positions and times
// leave, up to the mark. Times never decrease along a log, so the bounds are
// found by bisection.
func Span(ctx context.Context, l *eventlog.Log, f Filter) (after, upto event.Position, err error) {
	mark := l.Mark().Size
	after, upto = f.After, mark
	if f.Before > 0 {
		upto = min(upto, f.Before-1)
	}
	if !f.From.IsZero() {
		p, err := firstAt(ctx, l, f.From, mark)
		if err != nil {
			return 0, 0, err
		}
		after = max(after, p-1)
	}
	if !f.To.IsZero() {
		p, err := firstAt(ctx, l, f.To, mark)
		if err != nil {
			return 0, 0, err
		}
		upto = min(upto, p-1)
	}
	return after, upto, nil
}

// firstAt returns the first position recorded at or after t, mark+1 if none.
func firstAt(ctx context.Context, l *eventlog.Log, t time.Time, mark event.Position) (event.Position, error) {
	var failed error
	i := sort.Search(int(mark), func(i int) bool {
		if failed != nil {
			return true
		}
		r, err := l.Record(ctx, event.Position(i+1))
		if err != nil {
			failed = err
			return true
		}
		return !r.Time.Before(t)
	})
	return event.Position(i + 1), failed
}
