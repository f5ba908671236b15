package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"muniment.dev/fault"
)

// Verdict says what becomes of one difference between two sets.
type Verdict string

// The verdicts.
const (
	Added   Verdict = "added"
	Changed Verdict = "changed" // where it stands: no new revision is needed
	Asked   Verdict = "asked"   // done only if whoever applies the plan says that it is meant
	Refused Verdict = "refused" // not done; nor is anything else of the plan
	Removed Verdict = "removed"
)

// Change is one difference between two sets.
type Change struct {
	Verdict  Verdict
	Entity   string // the entity type concerned, or that of the event type
	Event    string // "" if it concerns the entity type itself
	Revision uint32 // of the event type; 0: of all
	Field    string // "" if it concerns the whole
	What     string // "title", "x-search": what changed; a keyword or an annotation where there is one
	Msg      string // for people: what changes, or why not and what to do instead
	Key      string // of what is asked: by this it is acknowledged
	Exposed  bool   // stored records of Event up to Revision hold Field in clear, and will for ever
	Rebuild  bool   // what is computed of the log has to be computed anew: state, search, uniqueness
}

// String is the change as a line of text: a sign, what, and the message.
func (c Change) String() string {
	sign := map[Verdict]string{Added: "+", Changed: "~", Asked: "?", Refused: "!", Removed: "-"}[c.Verdict]
	what := "entity " + c.Entity
	if c.Event != "" {
		what = "event " + c.Event
		if c.Revision > 0 {
			what += fmt.Sprintf(" revision %d", c.Revision)
		}
	}
	if c.Field != "" {
		what += " /" + c.Field
	}
	return sign + " " + what + ": " + c.Msg
}

// Plan is all that differs, entity types first, by name.
type Plan struct{ Changes []Change }

// Text is the plan as lines of text.
func (p Plan) Text() string {
	if len(p.Changes) == 0 {
		return "nothing changes\n"
	}
	var b strings.Builder
	for _, c := range p.Changes {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

// Of lists the changes with a verdict.
func (p Plan) Of(v Verdict) []Change {
	return slices.DeleteFunc(slices.Clone(p.Changes), func(c Change) bool { return c.Verdict != v })
}

// Check says why a plan cannot be applied: something is refused, or is asked
// and was not acknowledged by its key. nil if it can be.
func (p Plan) Check(acknowledged ...string) error {
	if refused := p.Of(Refused); len(refused) > 0 {
		return fault.New(fault.Refused, "%s", lines(refused))
	}
	asked := slices.DeleteFunc(p.Of(Asked), func(c Change) bool { return slices.Contains(acknowledged, c.Key) })
	if len(asked) == 0 {
		return nil
	}
	keys := make([]string, len(asked))
	for i := range asked {
		keys[i] = asked[i].Key
	}
	slices.Sort(keys)
	return &fault.Error{Kind: fault.Refused, Field: "acknowledge",
		Msg: fmt.Sprintf("%s; acknowledge %s if it is meant", lines(asked), strings.Join(slices.Compact(keys), ", "))}
}

func lines(changes []Change) string {
	texts := make([]string, len(changes))
	for i := range changes {
		texts[i] = strings.TrimLeft(changes[i].String(), "!? ")
	}
	return strings.Join(texts, "; ")
}

// Stored tells whether the log holds events: of a revision of an event type,
// or of any of them if revision is 0.
type Stored func(event string, revision uint32) bool

// Compare compares the set that is in force with one that would take its
// place. Without stored, every type counts as having events. The old set may
// be nil.
func Compare(old, new *Set, stored Stored) Plan {
	if stored == nil {
		stored = func(string, uint32) bool { return true }
	}
	if old == nil {
		old = &Set{}
	}
	p := planner{old: old, new: new, stored: stored}
	for _, name := range names(old.Entities, new.Entities) {
		p.entity(name, old.Entities[name], new.Entities[name])
	}
	for _, name := range names(old.Events, new.Events) {
		p.event(name, old.Events[name], new.Events[name])
	}
	return Plan{p.changes}
}

func names[V any](a, b map[string]V) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))))))
}

type planner struct {
	old, new *Set
	stored   Stored
	changes  []Change
}

func (p *planner) add(c Change) { p.changes = append(p.changes, c) }

func (p *planner) entity(name string, old, new *Entity) {
	c := Change{Entity: name}
	switch {
	case old == nil:
		c.Verdict, c.Msg = Added, fmt.Sprintf("is added, with %s", count(len(new.Fields), "field"))
		p.add(c)
	case new == nil && p.entityStored(name):
		c.Verdict, c.Msg = Refused, `has events, which must stay readable: keep its document, with "x-retired": true`
		p.add(c)
	case new == nil:
		c.Verdict, c.Msg = Removed, "is removed; it has no events"
		p.add(c)
	default:
		p.changedEntity(old, new)
	}
}

func (p *planner) entityStored(name string) bool {
	for _, e := range p.old.Events {
		if e.Entity == name && p.stored(e.Name, 0) {
			return true
		}
	}
	return false
}

func (p *planner) changedEntity(old, new *Entity) {
	c := Change{Verdict: Changed, Entity: new.Name}
	p.text(c, "title", old.Title, new.Title)
	p.text(c, "description", old.Description, new.Description)
	p.days(c, old.Retention, new.Retention)
	p.retired(c, old.Retired, new.Retired)
	p.duplicates(c, old.Duplicates, new.Duplicates)
	for _, f := range new.Fields {
		p.entityField(c, old.Field(f.Name), &f)
	}
	for _, f := range old.Fields {
		if new.Field(f.Name) == nil {
			p.add(with(c, f.Name, "properties", "is gone from the state; events that have it keep it", true))
		}
	}
	if old.accepts != new.accepts {
		p.add(with(c, "", "schema", "takes other values; states are computed anew and compared with it", true))
	}
}

func with(c Change, field, what, msg string, rebuild bool) Change {
	c.Field, c.What, c.Msg, c.Rebuild = field, what, msg, rebuild
	return c
}

func (p *planner) entityField(c Change, old, new *Field) {
	if old == nil {
		p.add(with(c, new.Name, "properties", "is added, "+sealing(new), true))
		return
	}
	switch {
	case old.Public && !new.Public:
		p.add(with(c, new.Name, "x-public", "is sealed from now on in what is read; what events hold is a matter of their types", true))
	case !old.Public && new.Public:
		c := with(c, new.Name, "x-public", "becomes public: whoever may list the entities reads it, and it outlives nobody's erasure", true)
		c.Verdict, c.Key = Asked, "public:"+c.Entity+"/"+new.Name
		p.add(c)
	}
	if old.Subject != new.Subject {
		p.add(with(c, new.Name, "x-subject", "belongs to another subject", true))
	}
	if old.Search != new.Search {
		p.add(with(c, new.Name, "x-search", fmt.Sprintf("can be searched for: %s", was(string(old.Search), string(new.Search), "not")), true))
	}
	if old.Unique != new.Unique {
		p.add(with(c, new.Name, "x-unique", fmt.Sprintf("is unique within: %s", was(old.Unique, new.Unique, "nothing")), true))
	}
	if old.Ref != new.Ref {
		p.add(with(c, new.Name, "x-ref", fmt.Sprintf("points to: %s", was(old.Ref, new.Ref, "nothing")), true))
	}
}

func sealing(f *Field) string {
	switch {
	case f.Public:
		return "public"
	case f.Subject != "":
		return "sealed under /" + f.Subject
	}
	return "sealed under the entity"
}

func was(old, new, none string) string {
	if old == "" {
		old = none
	}
	if new == "" {
		new = none
	}
	return fmt.Sprintf("%s, was %s", new, old)
}

func count(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

func (p *planner) text(c Change, what, old, new string) {
	if old != new {
		p.add(with(c, "", what, fmt.Sprintf("has another %s", strings.TrimPrefix(what, "x-")), false))
	}
}

func (p *planner) days(c Change, old, new int) {
	if old == new {
		return
	}
	c = with(c, "", "x-retention", fmt.Sprintf("sealed fields are kept %s, was %s", days(new), days(old)), false)
	if new > 0 && (old == 0 || new < old) {
		c.Verdict, c.Key = Asked, "retention:"+c.Entity
		c.Msg += ": what is older is erased for good"
	}
	p.add(c)
}

func days(n int) string {
	if n == 0 {
		return "until erased"
	}
	return count(n, "day")
}

func (p *planner) retired(c Change, old, new bool) {
	switch {
	case !old && new:
		p.add(with(c, "", "x-retired", "is retired: what is there stays, and nothing new is published", false))
	case old && !new:
		p.add(with(c, "", "x-retired", "is in use again", false))
	}
}
