package schema

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// reading is what Parse knows while it reads.
type reading struct {
	options  Options
	docs     []*document          // by file name
	byURL    map[string]*document // by $id
	entities map[string]*Entity
	events   map[string]map[uint32]*Definition
	problems Problems
	warnings Problems
	compiler *jsonschema.Compiler
}

// Parse reads a set of documents, by file name. Its error is a fault whose
// cause is all Problems.
func Parse(files map[string][]byte, options Options) (*Set, error) {
	r := &reading{options: options, byURL: map[string]*document{}, entities: map[string]*Entity{}, events: map[string]map[uint32]*Definition{}}
	if len(files) > MaxDocuments {
		r.problems.add("", "", "there are %d documents; the limit is %d", len(files), MaxDocuments)
		return nil, r.problems.fault()
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		r.read(name, files[name])
	}
	for _, d := range r.docs {
		d.walk(d.root, "", d.rootAnnotations(), 0)
	}
	if r.cost() {
		r.compileAll()
	}
	set := r.assemble()
	if len(r.problems) > 0 {
		return nil, r.problems.sorted().fault()
	}
	set.Warnings = r.warnings.sorted()
	set.Documents = maps.Clone(files)
	return set, nil
}

// cost looks where references lead, and reports whether documents are cheap
// enough to be compiled.
func (r *reading) cost() bool {
	total, before := 0, len(r.problems)
	for _, d := range r.docs {
		total += r.references(d)
	}
	if total > MaxSet {
		r.problems.add("", "", "the documents have more than %d schemas, with their references followed: point to fewer things", MaxSet)
	}
	if len(r.problems) > before {
		return total <= MaxSet
	}
	for _, d := range r.docs {
		d.places()
	}
	return total <= MaxSet
}

func (r *reading) read(file string, raw []byte) {
	v, order, wrong := decode(raw)
	if wrong != nil {
		r.problems.add(file, wrong.pointer, "%s", wrong.msg)
		return
	}
	root, ok := v.(map[string]any)
	if !ok {
		r.problems.add(file, "", "must be a JSON object: a schema of an entity type or of an event type")
		return
	}
	d := &document{file: file, root: root, order: order, anchors: map[string]string{}, set: r, problems: &r.problems}
	d.url = internal + strconv.Itoa(len(r.docs))
	r.docs = append(r.docs, d)
	if id, ok := root["$id"]; ok {
		r.identify(d, id)
	}
	d.anchorsOf(root, "")
	if d.kind() == "" && root["$id"] == nil {
		d.add("", `says neither "x-entity-type" nor "x-event", and has no "$id" by which others could point to it`)
	}
}

// internal begins the URL of a document that has none of its own. No $ref can
// name it.
const internal = "https://schema.invalid/"

func (r *reading) identify(d *document, id any) {
	text, _ := id.(string)
	u, err := url.Parse(text)
	switch {
	case err != nil || !u.IsAbs() || strings.Contains(text, "#") || len(text) > 500:
		d.add("/$id", "must be an absolute URL without a fragment, such as https://example.org/schemas/address.json; it is a name, and nothing is fetched from there")
		return
	case strings.HasPrefix(text, internal) || strings.Contains(text, "json-schema.org"):
		d.add("/$id", "is a name that is not yours: take one of your own domain")
		return
	}
	if other := r.byURL[text]; other != nil {
		d.add("/$id", "is that of %s already", other.file)
		return
	}
	d.url = text
	r.byURL[text] = d
}

// target finds what a $ref points to.
func (d *document) target(ref string) (*document, string, string) {
	base, err := url.Parse(d.url)
	if err != nil {
		return nil, "", "cannot be read as a URL"
	}
	u, err := url.Parse(ref)
	if err != nil {
		return nil, "", "cannot be read as a URL"
	}
	fragment := u.Fragment
	to := d
	if !strings.HasPrefix(ref, "#") {
		resolved := base.ResolveReference(u)
		resolved.Fragment, resolved.RawFragment = "", ""
		if to = d.set.byURL[resolved.String()]; to == nil {
			return nil, "", `names no document of this set: give that document this "$id"; nothing is fetched`
		}
	}
	if fragment == "" {
		return to, "", ""
	}
	if !strings.HasPrefix(fragment, "/") {
		pointer, ok := to.anchors[fragment]
		if !ok {
			return nil, "", fmt.Sprintf("names an anchor that %s does not have", to.file)
		}
		return to, pointer, ""
	}
	name, ok := strings.CutPrefix(fragment, "/$defs/")
	if !ok || strings.Contains(name, "/") {
		return nil, "", "must point to a definition, such as #/$defs/address, or to an anchor"
	}
	defs, _ := to.root["$defs"].(map[string]any)
	name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	if _, ok := defs[name]; !ok {
		return nil, "", fmt.Sprintf("points to a definition that %s does not have", to.file)
	}
	return to, at("", "$defs", name), ""
}

// lookup follows a pointer that target or a walk made.
func (d *document) lookup(pointer string) any {
	var v any = d.root
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch w := v.(type) {
		case map[string]any:
			v = w[token]
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i < len(w) {
				v = w[i]
			}
		}
	}
	return v
}

// kind is the annotation that says what a document defines, or nothing.
func (d *document) kind() string {
	for _, k := range []string{"x-entity-type", "x-event"} {
		if _, ok := d.root[k]; ok {
			return k
		}
	}
	return ""
}
