package schema

import (
	"fmt"
	"slices"
)

func (p *planner) event(name string, old, new *Event) {
	switch {
	case old == nil:
		for _, def := range new.Revisions {
			p.add(Change{Verdict: Added, Entity: def.Entity, Event: name, Revision: def.Revision, Msg: "is added, " + describeFields(def)})
		}
	case new == nil && p.stored(name, 0):
		p.add(Change{Verdict: Refused, Entity: old.Entity, Event: name, Msg: `has events, which must stay readable: keep its documents, with "x-retired": true in the newest`})
	case new == nil:
		p.add(Change{Verdict: Removed, Entity: old.Entity, Event: name, Msg: "is removed; it has no events"})
	case old.Entity != new.Entity && p.stored(name, 0):
		p.add(Change{Verdict: Refused, Entity: new.Entity, Event: name, What: "x-entity", Msg: fmt.Sprintf("has events that happened to %q: make another event type", old.Entity)})
	default:
		p.changedRevisions(old, new)
	}
}

func describeFields(def *Definition) string {
	public := 0
	for i := range def.Fields {
		if def.Fields[i].Public {
			public++
		}
	}
	if public == 0 {
		return fmt.Sprintf("with %s, all sealed", count(len(def.Fields), "field"))
	}
	return fmt.Sprintf("with %s, %d of them public", count(len(def.Fields), "field"), public)
}

func (p *planner) changedRevisions(old, new *Event) {
	for i, def := range old.Revisions {
		c := Change{Entity: new.Entity, Event: new.Name, Revision: def.Revision}
		switch {
		case i < len(new.Revisions):
			p.revision(def, new.Revisions[i])
		case p.stored(new.Name, def.Revision):
			c.Verdict, c.Msg = Refused, "has events, which must stay readable: keep its document"
			p.add(c)
		default:
			c.Verdict, c.Msg = Removed, "is removed; it has no events"
			p.add(c)
		}
	}
	for i := len(old.Revisions); i < len(new.Revisions); i++ {
		p.newRevision(new.Revisions[i-1], new.Revisions[i])
	}
}

// newRevision says what differs from the revision before.
func (p *planner) newRevision(before, def *Definition) {
	c := Change{Verdict: Added, Entity: def.Entity, Event: def.Event, Revision: def.Revision, Msg: "is added, " + describeFields(def)}
	if p.storedUpTo(def.Event, before.Revision) && (def.Upcast != nil || canonical(before.Apply) != canonical(def.Apply)) {
		c.Rebuild, c.Msg = true, c.Msg+"; events of earlier ones are applied as it says, and the states are computed anew"
	}
	p.add(c)
	for i := range def.Fields {
		f := &def.Fields[i]
		was := before.Field(f.Name)
		if was != nil {
			p.disclosure(c, was, f, before.Revision)
		}
	}
}

// disclosure tells of a field that changes sides between two revisions.
func (p *planner) disclosure(c Change, old, new *Field, before uint32) {
	switch {
	case old.Public && !new.Public && p.storedUpTo(c.Event, before):
		c := with(c, new.Name, "x-public", fmt.Sprintf("is sealed from revision %d on: events of earlier ones hold it in clear, and nothing can reach back", c.Revision), false)
		c.Verdict, c.Exposed, c.Key, c.Revision = Asked, true, "exposed:"+c.Event+"/"+new.Name, before
		p.add(c)
	case !old.Public && new.Public:
		c := with(c, new.Name, "x-public", "becomes public: from this revision on it stands in the log in clear, for ever", false)
		c.Verdict, c.Key = Asked, "public:"+c.Event+"/"+new.Name
		p.add(c)
	}
}

func (p *planner) storedUpTo(name string, revision uint32) bool {
	for n := uint32(1); n <= revision; n++ {
		if p.stored(name, n) {
			return true
		}
	}
	return false
}

// revision compares a revision with what would take its place. What records of
// it hold, and what it takes, stays as it is once there are any.
func (p *planner) revision(old, new *Definition) {
	c := Change{Verdict: Changed, Entity: new.Entity, Event: new.Event, Revision: new.Revision}
	if p.stored(new.Event, new.Revision) {
		p.frozen(c, old, new)
	} else if old.accepts != new.accepts || storedForm(old) != storedForm(new) {
		p.add(with(c, "", "schema", "is another; it has no events yet", false))
	}
	p.text(c, "title", old.Title, new.Title)
	p.text(c, "description", old.Description, new.Description)
	p.text(c, "x-sentence", old.Sentence, new.Sentence)
	p.retired(c, old.Retired, new.Retired)
	if old.Creates != new.Creates {
		p.add(with(c, "", "x-creates", map[bool]string{true: "may be the first of its entity", false: "can no longer be the first of its entity"}[new.Creates], false))
	}
	if old.Conflict != new.Conflict {
		p.add(with(c, "", "x-conflict", fmt.Sprintf("conflicts are settled by %s, was %s", new.Conflict, old.Conflict), false))
	}
	if canonical(old.Apply) != canonical(new.Apply) {
		p.add(with(c, "", "x-apply", "has another applier: the states are computed anew, compared, and swapped", true))
	}
	if canonical(old.Upcast) != canonical(new.Upcast) {
		p.add(with(c, "", "x-upcast", "events of earlier revisions are brought up in another way: the states are computed anew", true))
	}
	if canonical(old.Examples) != canonical(new.Examples) {
		p.add(with(c, "", "examples", "has other examples", false))
	}
	for i := range new.Fields {
		p.eventField(c, old.Field(new.Fields[i].Name), &new.Fields[i])
	}
}

// frozen refuses what would change the meaning of stored records.
func (p *planner) frozen(c Change, old, new *Definition) {
	c.Verdict = Refused
	if old.accepts != new.accepts {
		p.add(with(c, "", "schema", fmt.Sprintf("has events, and takes what it took: write the change as a new document with \"x-revision\": %d", p.next(new)), false))
		return
	}
	for i := range new.Fields {
		f := &new.Fields[i]
		was := old.Field(f.Name)
		switch {
		case was.Public && !f.Public:
			c := with(c, f.Name, "x-public", fmt.Sprintf("stands in stored events in clear, and nothing can reach back: seal it in a new document with \"x-revision\": %d", p.next(new)), false)
			c.Exposed = true
			p.add(c)
		case !was.Public && f.Public:
			p.add(with(c, f.Name, "x-public", fmt.Sprintf("is sealed in stored events: make it public in a new document with \"x-revision\": %d", p.next(new)), false))
		case was.Subject != f.Subject:
			p.add(with(c, f.Name, "x-subject", fmt.Sprintf("is sealed in stored events under the subject as it was: change it in a new document with \"x-revision\": %d", p.next(new)), false))
		}
	}
}

func (p *planner) next(def *Definition) int { return len(p.old.Events[def.Event].Revisions) + 1 }

// storedForm is what decides how a record holds the fields.
func storedForm(def *Definition) string {
	var forms []string
	for i := range def.Fields {
		f := def.Descriptor.Field(def.Fields[i].Name)
		forms = append(forms, fmt.Sprint(f.Name, f.Kind, f.Public, f.Of))
	}
	slices.Sort(forms)
	return fmt.Sprint(forms)
}

func (p *planner) eventField(c Change, old, new *Field) {
	if old == nil {
		return
	}
	if old.Ref != new.Ref {
		p.add(with(c, new.Name, "x-ref", fmt.Sprintf("points to: %s; records are tagged from now on", was(old.Ref, new.Ref, "nothing")), false))
	}
	if old.Tag != new.Tag {
		p.add(with(c, new.Name, "x-tag", map[bool]string{true: "can be selected by in events from now on", false: "can no longer be selected by in events from now on"}[new.Tag], false))
	}
}
