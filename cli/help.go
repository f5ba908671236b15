package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/field"
)

const width = 80

func overview(w io.Writer) error {
	topics, err := Topics()
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "Commands that ask a running server (--help after each tells more):")
	for _, t := range topics {
		entry(w, t.Name, t.Summary)
	}
	return nil
}

func nounHelp(w io.Writer, cs []*command) error {
	fmt.Fprintf(w, "%s\n\n", wrap(cs[0].about, ""))
	for _, c := range cs {
		entry(w, c.noun+" "+c.verb, sentence(c.doc))
	}
	for _, o := range ownOf(cs[0].noun) {
		entry(w, o.name, o.summary)
	}
	return nil
}

func (c *command) help(w io.Writer) error {
	use := "muniment " + c.noun + " " + c.verb
	for _, a := range c.args {
		use += " " + strings.ToUpper(a)
	}
	fmt.Fprintf(w, "%s [flags]\n\n%s\n\n", use, wrap(c.doc, ""))
	for i := range c.flags {
		f := &c.flags[i]
		name := "--" + f.name + " " + kind(f)
		if slices.Contains(c.args, f.name) {
			name = strings.ToUpper(f.name)
		}
		if c.instead != nil && slices.Contains(c.instead, f.name) {
			name += "  (instead of " + strings.ToUpper(strings.Join(c.args, " ")) + ")"
		}
		entry(w, name, f.doc+strings.Replace(choices(f.path.Leaf()), "; o", " O", 1))
	}
	if c.flag("page-token") != nil {
		entry(w, "--all", "All pages, one after the other.")
	}
	entry(w, "--output json|table|FIELD,…", "JSON, a table for people, or only the values of some fields: id, setup_link.url. A table if left out.")
	entry(w, "--url URL", "Address of the server; MUNIMENT_URL, or that of the last login, if left out.")
	return nil
}

// kind says what a flag takes.
func kind(f *flag) string {
	leaf := f.path.Leaf()
	var k string
	switch {
	case f.set != nil:
		k = "FIELD=VALUE"
	case f.secret():
		k = "-|@FILE"
	case leaf.Kind() == protoreflect.BoolKind:
		return ""
	case f.time != nil:
		k = "N|TIME"
	case field.IsTime(leaf):
		k = "TIME"
	case leaf.Enum() != nil:
		k = "WORD"
	case leaf.Kind() == protoreflect.StringKind:
		k = "TEXT"
	default:
		k = "N"
	}
	if leaf.IsList() {
		k += " …"
	}
	return k
}

func entry(w io.Writer, name, doc string) {
	fmt.Fprintf(w, "  %s\n%s\n", strings.TrimSpace(name), wrap(doc, "      "))
}

// sentence is the first sentence of a text.
func sentence(doc string) string {
	s := strings.SplitN(strings.ReplaceAll(doc, "\n", " "), ". ", 2)[0]
	return strings.TrimSuffix(s, ".") + "."
}

// wrap breaks text into lines, each with an indent; blank lines stay.
func wrap(text, indent string) string {
	var out []string
	for p := range strings.SplitSeq(text, "\n\n") {
		line := indent
		for _, w := range strings.Fields(p) {
			if line != indent && len(line)+1+len(w) > width {
				out = append(out, line)
				line = indent
			}
			if line != indent {
				line += " "
			}
			line += w
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
