package schema

import (
	"slices"
	"strings"
)

// Rule is a combination of fields of an entity type: two entities that are alike
// in all of them may be the same.
type Rule struct {
	Fields  []string // sorted
	Public  bool     // all of them are; else those that are sealed are so under one subject
	Subject string   // as Field.Subject
}

// Name is by what a rule is known: its fields, and whether what they hold is
// sealed.
func (r *Rule) Name() string {
	name := strings.Join(r.Fields, " ") // no name of a field has a space
	if !r.Public {
		name += " (sealed)"
	}
	return name
}

const duplicates = "x-duplicates"

// duplicates reads what makes two entities possible duplicates.
func (d *document) duplicates(e *Entity) (out []Rule) {
	v, ok := d.root[duplicates]
	if !ok {
		return nil
	}
	list, _ := v.([]any)
	if len(list) == 0 || len(list) > MaxRules {
		d.add(at("", duplicates), `must be a list of 1 to %d combinations of fields, such as [["name", "birthDate"], ["phone"]]`, MaxRules)
		return nil
	}
	for i, v := range list {
		here := at("", duplicates, itoa(i))
		r, ok := d.rule(e, here, v)
		if ok && slices.ContainsFunc(out, func(o Rule) bool { return o.Name() == r.Name() }) {
			d.add(here, "is the same as another of the combinations")
		}
		out = append(out, r)
	}
	return out
}

func (d *document) rule(e *Entity, here string, v any) (r Rule, ok bool) {
	list, _ := v.([]any)
	if len(list) == 0 || len(list) > MaxCombined {
		d.add(here, `must be a list of the names of fields, such as ["name", "birthDate"]; of 1 to %d`, MaxCombined)
		return r, false
	}
	r.Public, ok = true, true
	for i, v := range list {
		name, _ := v.(string)
		f := e.Field(name)
		if wrong := wrongInRule(&r, f); wrong != "" {
			if f == nil {
				d.add(at(here, itoa(i)), "names %q, which is no property%s", name, didYouMean(name, d.order))
			} else {
				d.add(at(here, itoa(i)), "%s", wrong)
			}
			ok = false
			continue
		}
		if !f.Public {
			r.Public, r.Subject = false, f.Subject
		}
		r.Fields = append(r.Fields, name)
	}
	slices.Sort(r.Fields)
	return r, ok
}

// wrongInRule says why a field cannot be one more of a rule, or nothing.
func wrongInRule(r *Rule, f *Field) string {
	switch {
	case f == nil:
		return "is no property"
	case slices.Contains(r.Fields, f.Name):
		return "stands there twice"
	case f.Kind == Value || f.Kind == UUIDs:
		return `must be of "type": "string", "integer" or "boolean": lists and objects are not compared`
	case !f.Public && !r.Public && f.Subject != r.Subject:
		return "and a field before it are sealed under different subjects: what compares both would outlive the erasure of one; make two combinations of it"
	}
	return ""
}

// duplicates compares what makes two entities possible duplicates.
func (p *planner) duplicates(c Change, old, new []Rule) {
	if text := rulesText(new); text != rulesText(old) {
		p.add(with(c, "", duplicates, "possible duplicates are looked for by: "+was(rulesText(old), text, "nothing"), true))
	}
}

func rulesText(rules []Rule) string {
	texts := make([]string, len(rules))
	for i := range rules {
		texts[i] = strings.Join(rules[i].Fields, " + ")
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
