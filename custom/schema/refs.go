package schema

import (
	"maps"
	"slices"
	"strconv"
)

// references checks where a document's $refs lead, that none leads back to
// where it came from, and what the whole costs with all of them followed. What
// passes can be expanded.
func (r *reading) references(d *document) (cost int) {
	w := weigher{done: map[place]int{}, open: map[place]bool{}, reported: map[place]bool{}}
	if cost = w.weigh(d, d.root, "", 0); cost > MaxWork {
		d.add("", "has more than %d schemas, with its references followed: point to fewer things", MaxWork)
	}
	return cost
}

type place struct {
	doc     *document
	pointer string
}

type weigher struct {
	done     map[place]int
	open     map[place]bool // on the way here
	reported map[place]bool
}

// weigh counts the schemas of a place, references followed.
func (w *weigher) weigh(d *document, v any, pointer string, depth int) int {
	here := place{d, pointer}
	if n, ok := w.done[here]; ok {
		return n
	}
	if depth > 4*MaxNesting { // references to references to ...
		if !w.reported[here] {
			w.reported[here] = true
			d.add(pointer, "is nested too deep, with its references followed")
		}
		return 1
	}
	w.open[here] = true
	defer delete(w.open, here)
	cost := 1
	s, _ := v.(map[string]any)
	d.eachSub(v, pointer, func(sub any, p string) { cost += w.weigh(d, sub, p, depth+1) })
	if ref, ok := s["$ref"].(string); ok {
		cost += w.follow(d, ref, at(pointer, "$ref"), depth)
	}
	cost = min(cost, MaxWork+1)
	w.done[here] = cost
	return cost
}

func (w *weigher) follow(d *document, ref, pointer string, depth int) int {
	to, p, wrong := d.target(ref)
	switch {
	case wrong != "":
		d.add(pointer, "%s", wrong)
		return 0
	case w.open[place{to, p}]:
		d.add(pointer, "leads back to where it stands: schemas that contain themselves are not taken; make an entity of it and point to that")
		return 0
	}
	return w.weigh(to, to.lookup(p), p, depth+1)
}

// expand writes out what a schema accepts: references replaced by what they
// point to, without annotations. It is called for documents without problems.
func (d *document) expand(v any) any {
	s, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		switch {
		case slices.Contains(annotations, name) || len(name) > 2 && name[:2] == "x-":
		case name == "$ref":
			to, p, _ := d.target(s[name].(string))
			d.merge(out, to.expand(to.lookup(p)), s)
		default:
			d.expandKeyword(out, name, s[name])
		}
	}
	return out
}

// merge adds what a $ref points to: in place if nothing stands beside it, else
// as one more of allOf, which means the same.
func (d *document) merge(out map[string]any, target any, s map[string]any) {
	alone := true
	for name := range s {
		alone = alone && (name == "$ref" || slices.Contains(annotations, name) || name[:2] == "x-")
	}
	if t, ok := target.(map[string]any); ok && alone {
		maps.Copy(out, t)
		return
	}
	out["$ref"] = target
}

func (d *document) expandKeyword(out map[string]any, name string, v any) {
	switch {
	case slices.Contains(inOne, name):
		out[name] = d.expand(v)
	case slices.Contains(inList, name):
		list := []any{}
		for _, sub := range v.([]any) {
			list = append(list, d.expand(sub))
		}
		out[name] = list
	case slices.Contains(inMap, name):
		object := map[string]any{}
		for key, sub := range v.(map[string]any) {
			object[key] = d.expand(sub)
		}
		out[name] = object
	case name == "required" || name == "type":
		out[name] = sortedTexts(v)
	default:
		out[name] = v
	}
}

// sortedTexts gives lists whose order means nothing one order.
func sortedTexts(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			return v
		}
		texts = append(texts, strconv.Quote(text))
	}
	slices.Sort(texts)
	out := make([]any, len(texts))
	for i := range texts {
		out[i], _ = strconv.Unquote(texts[i])
	}
	return out
}
