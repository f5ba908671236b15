package audit

import (
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/event"
)

// Sight is which records somebody may see: by roles those of the whole instance
// or of some organizations, by permissions those of some types, and those about
// themself.
type Sight struct {
	All           bool
	Organizations []event.ID
	Permissions   []authz.Permission // to read
	Self          event.ID
	Upto          event.Position // as of here, or of a later record: what comes behind may not be for these eyes any more
	who           authz.Authority
	operator      bool
}

// Of is what an authority may see.
func Of(a authz.Authority) Sight {
	s := Sight{who: a}
	s.All, s.Organizations = a.Organizations(authz.ReadEvents)
	s.Permissions = a.Permissions(authz.Read)
	if a.Actor.Kind == "user" && !a.Blocked() {
		s.Self = a.Actor.ID
	}
	return s
}

// Whole is the sight of an operator who reads a data directory: with its keys
// there is nothing in it that could be withheld.
func Whole() Sight { return Sight{All: true, operator: true} }

// OnlyOwn reports whether nothing may be seen but what is about oneself.
func (s Sight) OnlyOwn() bool {
	return !s.operator && !s.All && len(s.Organizations) == 0 && len(s.Permissions) == 0
}

// Organization is the one in which everything lies that may be seen, but for
// what is about oneself; zero if there is not just one.
func (s Sight) Organization() event.ID {
	in := slices.Clone(s.Organizations)
	for _, p := range s.Permissions {
		in = append(in, p.Organization)
	}
	slices.SortFunc(in, func(a, b event.ID) int { return slices.Compare(a[:], b[:]) })
	if in = slices.Compact(in); s.All || len(in) != 1 {
		return event.ID{}
	}
	return in[0]
}

// Sees reports whether a record may be seen, by its type and its organization
// tags or because it is about the person themself.
func (s Sight) Sees(r *event.Record) bool { return s.may(r, s.who.MayReadEvents) || s.own(r) }

// may reports whether a right holds over a record: everywhere, or in one of the
// organizations that it belongs to.
func (s Sight) may(r *event.Record, right func(eventType string, organization event.ID) bool) bool {
	return s.operator || right(r.Type, event.ID{}) ||
		slices.ContainsFunc(Organizations(r), func(o event.ID) bool { return right(r.Type, o) })
}

func (s Sight) own(r *event.Record) bool {
	return !s.Self.IsZero() && (r.Actor == (event.Actor{Kind: "user", ID: s.Self}) || slices.Contains(r.Tags, event.NewTag("user", s.Self.String())))
}

// Opens reports whether the sealed fields of a block's subject may be seen:
// one's own, or with the right to unseal them.
func (s Sight) Opens(r *event.Record, subject event.SubjectID) bool {
	return s.may(r, s.who.MayUnseal) || !s.Self.IsZero() && subject.ID == s.Self && s.own(r)
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

// maxItems bounds how many items the query of an index has. What would make
// more of them is left to Matches.
const maxItems = 64

// Query is what selects the records that a filter asks for and a sight allows,
// and perhaps more: ask Matches and Sees of each.
func Query(f Filter, s Sight, reg *event.Registry, log event.LogID) event.Query {
	base := event.Item{Types: types(f.Types, reg, log)}
	if len(f.Types) > 0 && len(base.Types) == 0 {
		return nil
	}
	for _, t := range f.Tags {
		base.All = append(base.All, event.TagTerm(t))
	}
	q := event.Query{base}
	for _, d := range f.alternatives() {
		if d != nil && len(q)*len(d) <= maxItems {
			q = cross(q, d)
		}
	}
	return s.narrow(q, reg, log)
}

// alternatives are lists of terms of which a record must have one of each; nil
// where the index knows no terms.
func (f Filter) alternatives() [][]event.Term {
	var streams, actors, orgs, users, subjects []event.Term
	for _, s := range f.Streams {
		streams = append(streams, event.StreamTerm(s))
	}
	if slices.ContainsFunc(f.Streams, func(s event.Stream) bool { return s.ID.IsZero() }) {
		streams = nil
	}
	for _, a := range f.Actors {
		actors = append(actors, event.ActorTerm(a))
	}
	if slices.ContainsFunc(f.Actors, everyActor) {
		actors = nil
	}
	for _, o := range f.Organizations {
		orgs = append(orgs, orgTerm(o))
	}
	for _, u := range f.Users {
		users = append(users, userTerm(u), event.ActorTerm(event.Actor{Kind: "user", ID: u}))
	}
	for _, s := range f.Subjects {
		subjects = append(subjects, event.SubjectTerm(s))
	}
	return [][]event.Term{streams, subjects, users, actors, orgs}
}

// terms are those of which one is enough for a record to be seen.
func (s Sight) terms() []event.Term {
	var out []event.Term
	for _, o := range s.Organizations {
		out = append(out, orgTerm(o))
	}
	if !s.Self.IsZero() {
		out = append(out, userTerm(s.Self), event.ActorTerm(event.Actor{Kind: "user", ID: s.Self}))
	}
	return out
}

// cross is each item with each of the terms.
func cross(q event.Query, terms []event.Term) event.Query {
	var out event.Query
	for _, it := range q {
		for _, t := range terms {
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
