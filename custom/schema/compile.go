package schema

import (
	"errors"
	"maps"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"muniment.dev/event"
)

// noLoader fetches nothing: what is not in the set does not exist.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errors.New("nothing is fetched") }

// compileAll has the documents checked against the meta-schema and compiled,
// as far as what was found in them so far allows.
func (r *reading) compileAll() {
	r.compiler = jsonschema.NewCompiler()
	r.compiler.DefaultDraft(jsonschema.Draft2020)
	r.compiler.AssertFormat()
	r.compiler.UseLoader(noLoader{})
	r.compiler.RegisterFormat(&jsonschema.Format{Name: "uuid", Validate: checkUUID})
	r.compiler.RegisterFormat(&jsonschema.Format{Name: "email", Validate: checkEmail(libraryFormat("email"))})
	for _, d := range r.docs {
		if err := r.compiler.AddResource(d.url, d.closed()); err != nil {
			d.add("/$id", "cannot be used as a name")
		}
	}
	broken := map[string]bool{} // whose references or keywords cannot be compiled
	for _, p := range r.problems {
		broken[p.File] = true
	}
	for _, d := range r.docs {
		s, err := r.compiler.Compile(d.url)
		if err == nil {
			d.schema = s
			continue
		}
		if found := r.metaProblems(d, err); !found && !broken[d.file] && len(broken) == 0 {
			d.add("", "cannot be compiled")
		}
	}
}

// closed is the root as it is compiled: what is not named is refused.
func (d *document) closed() map[string]any {
	root := maps.Clone(d.root)
	if d.kind() != "" {
		root["additionalProperties"] = false
	}
	return root
}

// metaProblems lists what the meta-schema finds wrong with a document.
func (r *reading) metaProblems(d *document, err error) bool {
	var invalid *jsonschema.SchemaValidationError
	if !errors.As(err, &invalid) {
		return false
	}
	if url, _, _ := strings.Cut(invalid.URL, "#"); url != d.url {
		return true // another document's, which says so itself
	}
	var v *jsonschema.ValidationError
	if errors.As(invalid.Err, &v) {
		english := message.NewPrinter(language.English)
		eachLeaf(v, func(leaf *jsonschema.ValidationError) {
			if _, ok := leaf.ErrorKind.(*kind.Not); ok {
				return
			}
			d.add(at("", leaf.InstanceLocation...), "is no schema of 2020-12: %s", leaf.ErrorKind.LocalizedString(english))
		})
	}
	return true
}

// eachLeaf calls f for the errors that no others explain, or explain well.
func eachLeaf(e *jsonschema.ValidationError, f func(*jsonschema.ValidationError)) {
	switch e.ErrorKind.(type) {
	case *kind.PropertyNames, *kind.Contains, *kind.MinContains:
		f(e)
		return
	}
	if len(e.Causes) == 0 {
		f(e)
		return
	}
	for _, c := range e.Causes {
		eachLeaf(c, f)
	}
}

// libraryFormat is how the library checks a format.
func libraryFormat(name string) func(any) error {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(internal+"format", map[string]any{"format": name}); err != nil {
		panic(err) // the URL is a constant, and new
	}
	return c.MustCompile(internal + "format").Format.Validate
}

// checkEmail adds to the library's check that somebody stands before the @
// (RFC 5321 §4.1.2: Local-part is not empty).
func checkEmail(library func(any) error) func(any) error {
	return func(v any) error {
		if text, ok := v.(string); ok && strings.LastIndexByte(text, '@') == 0 {
			return errors.New("nobody before the @")
		}
		return library(v)
	}
}

// checkUUID takes what RFC 9562 §4 does, and ids as Muniment writes them, of 32
// digits without dashes.
func checkUUID(v any) error {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	if _, err := event.ParseID(strings.ToLower(text)); err != nil {
		return errors.New("not a uuid")
	}
	return nil
}
