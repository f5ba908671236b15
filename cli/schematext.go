package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// pointOf reads a position or a time into a request.
func pointOf(r *munimentv1.Read, text string) error {
	if text == "" {
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		r.AtPosition = n
		return nil
	}
	t, err := moment("at", text, time.Now())
	r.AtTime = t
	return err
}

func writeType(w io.Writer, t *munimentv1.EntityType) {
	fmt.Fprintf(w, "%s%s%s\n", clean(t.GetName()), retired(t.GetRetired()), titled(t.GetTitle()))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	writeTypeFields(tw, "  ", t.GetFields())
	tw.Flush()
	for _, e := range t.GetEvents() {
		creates := ""
		if e.GetCreates() {
			creates = ", makes one"
		}
		fmt.Fprintf(w, "  %s/%d%s%s%s\n", clean(e.GetType()), e.GetRevision(), creates, retired(e.GetRetired()), titled(e.GetTitle()))
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		writeTypeFields(tw, "    ", e.GetFields())
		tw.Flush()
	}
	fmt.Fprintln(w)
}

func retired(is bool) string {
	if is {
		return ", retired"
	}
	return ""
}

func titled(title string) string {
	if title == "" {
		return ""
	}
	return ": " + clean(title)
}

func writeTypeFields(w io.Writer, indent string, fields []*munimentv1.TypeField) {
	for _, f := range fields {
		fmt.Fprintf(w, "%s%s\t%s\t%s\n", indent, clean(f.GetName()), f.GetKind(), clean(strings.Join(traits(f), ", ")))
	}
}

// traits is what there is to say of a field.
func traits(f *munimentv1.TypeField) []string {
	var out []string
	switch {
	case f.GetPublic():
		out = append(out, "public")
	case f.GetSubject() != "":
		out = append(out, "sealed under "+f.GetSubject())
	default:
		out = append(out, "sealed")
	}
	if f.GetSearch() != "" {
		out = append(out, "searched by "+f.GetSearch()+" value")
	}
	if f.GetUnique() != "" {
		out = append(out, "unique within "+f.GetUnique())
	}
	if x := f.GetIndexing(); x != nil && !x.GetComplete() {
		out = append(out, fmt.Sprintf("indexing %d of %d", x.GetIndexed(), x.GetOf()))
	}
	if n := len(f.GetIndexing().GetHeldEntityIds()); n > 0 {
		out = append(out, fmt.Sprintf("%d hold what another one has: %s", n, strings.Join(f.GetIndexing().GetHeldEntityIds(), " ")))
	}
	if f.GetRef() != "" {
		out = append(out, "points to "+f.GetRef())
	}
	return out
}

// writeExamples names the entities that a step of a plan is about.
func writeExamples(w io.Writer, s *munimentv1.SchemaStep) {
	for _, x := range s.GetExamples() {
		what := strings.Join(x.GetFields(), ", ")
		if x.GetFailedPosition() > 0 {
			what = fmt.Sprintf("at position %d: %s", x.GetFailedPosition(), x.GetProblem())
		}
		fmt.Fprintf(w, "    %s  %s\n", x.GetEntityId(), clean(what))
	}
	if more := int(s.GetEntities()) - len(s.GetExamples()); more > 0 {
		fmt.Fprintf(w, "    and %d more\n", more)
	}
}

// writeProgress says what the newest change of definitions did to entities, and
// how far that is.
func writeProgress(w io.Writer, s *munimentv1.GetSchemaResponse) {
	if c := s.GetComparison(); c != nil {
		fmt.Fprintf(w, "The newest change was compared for %d %s: %d came out otherwise, the applier of %d failed.\n",
			c.GetCompared(), plural(int(c.GetCompared()), "entity", "entities"), c.GetDiffer(), c.GetFail())
	}
	r := s.GetRebuilding()
	if r == nil {
		return
	}
	fmt.Fprintf(w, "Entities are computed anew since position %d, and served as before until that is done", r.GetSince())
	if r.GetOf() > 0 {
		fmt.Fprintf(w, ": %d of %d events", r.GetDone(), r.GetOf())
	}
	if r.GetProblem() != "" {
		fmt.Fprintf(w, "; it failed and is tried again: %s", clean(r.GetProblem()))
	}
	fmt.Fprintln(w, ".")
}

// writeDefinitions writes documents and modules into a folder, which it makes.
func writeDefinitions(w io.Writer, dir string, s *munimentv1.GetSchemaResponse) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return &Usage{"--to: " + clean(err.Error())}
	}
	files := map[string][]byte{}
	for _, d := range s.GetDocuments() {
		files[d.GetFile()] = []byte(d.GetText())
	}
	for _, m := range s.GetModules() {
		files[m.GetName()+".wasm"] = m.GetCode()
	}
	for name, content := range files {
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return &failure{msg: "the name " + clean(name) + " is none of a file; it was not written"}
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d %s written to %s.\n", len(files), plural(len(files), "file", "files"), clean(dir))
	return err
}
