package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// The places of customers' types in the navigation.
const (
	entitiesNav    = "entities"
	definitionsNav = "definitions"
)

// definitionsPage is the data of definitions.html.
type definitionsPage struct {
	*munimentv1.GetSchemaResponse
	CanChange bool
	Curl      same
}

func (v *visit) getSchema() (*munimentv1.GetSchemaResponse, error) {
	got, err := v.c.API.Schema.GetSchema(v.ctx, &munimentv1.GetSchemaRequest{Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got, nil
}

func (v *visit) definitions() error {
	got, err := v.getSchema()
	if err != nil {
		return err
	}
	if err := v.travels(); err != nil {
		return err
	}
	return v.show("definitions", definitionsNav, "Definitions", definitionsPage{got, v.me.Writes(""), v.same("schema show", "/v1/schema")})
}

// traits is what there is to say of a field of a type, in words.
func traits(f *munimentv1.TypeField) []string {
	var out []string
	if f.GetSubject() != "" {
		out = append(out, "under "+strings.TrimPrefix(f.GetSubject(), "/"))
	}
	if f.GetSearch() != "" {
		out = append(out, "searched by "+map[string]string{"prefix": "how it begins"}[f.GetSearch()]+map[string]string{"exact": "its whole value"}[f.GetSearch()])
	}
	if f.GetUnique() != "" {
		out = append(out, "unique within "+strings.TrimPrefix(f.GetUnique(), "/"))
	}
	if x := f.GetIndexing(); x != nil && !x.GetComplete() {
		out = append(out, fmt.Sprintf("indexing %d of %d", x.GetIndexed(), x.GetOf()))
	}
	if f.GetRef() != "" {
		out = append(out, "points to "+f.GetRef())
	}
	return out
}

// verdict is what a step of a plan does, in a word.
func verdict(v string) badge {
	switch v {
	case "added":
		return badge{"Added", page.Good}
	case "removed":
		return badge{"Removed", page.Bad}
	case "refused":
		return badge{"Refused", page.Bad}
	case "asked":
		return badge{"Is it meant?", page.Warn}
	}
	return badge{"Changed", page.Warn}
}

// others are how many entities a step is about besides those that it names.
func others(s *munimentv1.SchemaStep) uint64 {
	return s.GetEntities() - min(s.GetEntities(), uint64(len(s.GetExamples())))
}

// firstOf are the first few positions.
func firstOf(all []uint64) []uint64 { return all[:min(10, len(all))] }

// definitionForm is the data of definitionform.html.
type definitionForm struct {
	Text     string
	Whole    bool
	Plan     *munimentv1.PlanSchemaResponse // nil: not planned yet
	Refused  bool
	Files    []string // names of the documents that were read
	Modules  []moduleFile
	Problems []string
	Reason   string
	Command  string
}

// askDefinitions shows the form, with one of the documents in it if it is named.
func (v *visit) askDefinitions() error {
	f := definitionForm{}
	if file := v.r.URL.Query().Get("file"); file != "" {
		got, err := v.getSchema()
		if err != nil {
			return err
		}
		for _, d := range got.GetDocuments() {
			if d.GetFile() == file {
				f.Text = d.GetText()
			}
		}
	}
	return v.showDefinitions(http.StatusOK, f)
}

func (v *visit) showDefinitions(status int, f definitionForm) error {
	return v.showAs(status, "definitionform", page.View{Nav: definitionsNav, Title: "Change the definitions", Data: f})
}

// changeDefinitions shows the plan for what was typed, and applies it once it
// was seen.
func (v *visit) changeDefinitions() error {
	f := definitionForm{Text: v.r.PostForm.Get("documents"), Whole: v.form("whole") != "", Reason: v.form("reason"), Command: v.command()}
	now, err := v.getSchema()
	if err != nil {
		return err
	}
	err = v.readFiles(&f)
	var documents []*munimentv1.SchemaDocument
	if err == nil {
		documents, err = readDocuments(f.Text, now.GetDocuments())
	}
	if err == nil && len(documents)+len(f.Modules) == 0 {
		err = fault.Field("documents", "there is no document, and no module")
	}
	if err != nil {
		f.Problems = []string{page.Sentence(fault.Public(err))}
		return v.showDefinitions(http.StatusUnprocessableEntity, f)
	}
	for _, d := range documents {
		f.Files = append(f.Files, d.GetFile())
	}
	if v.form("do") == "apply" {
		return v.applyDefinitions(f, documents)
	}
	return v.planDefinitions(http.StatusOK, f, documents)
}

func (v *visit) planDefinitions(status int, f definitionForm, documents []*munimentv1.SchemaDocument) error {
	plan, err := v.c.API.Schema.PlanSchema(v.ctx, &munimentv1.PlanSchemaRequest{Documents: documents, Modules: f.modules(), Whole: f.Whole})
	if err != nil {
		return v.definitionsFailed(f, err)
	}
	f.Plan = plan
	f.Refused = slices.ContainsFunc(plan.GetSteps(), func(s *munimentv1.SchemaStep) bool { return s.GetVerdict() == "refused" })
	return v.showDefinitions(status, f)
}

func (v *visit) applyDefinitions(f definitionForm, documents []*munimentv1.SchemaDocument) error {
	_, err := v.c.API.Schema.ApplySchema(v.ctx, &munimentv1.ApplySchemaRequest{Documents: documents, Modules: f.modules(), Whole: f.Whole, Acknowledge: v.r.PostForm["acknowledge"], CommandId: f.Command, Reason: f.Reason})
	if err == nil {
		return v.done("/console/definitions", "The definitions are changed.")
	}
	err = v.c.AsFault(err)
	if fault.Is(err, fault.Refused) || fault.Is(err, fault.Conflict) { // see what the plan is by now
		f.Problems = []string{page.Sentence(fault.Public(err))}
		return v.planDefinitions(page.Status(fault.KindOf(err)), f, documents)
	}
	return v.definitionsFailed(f, err)
}

func (v *visit) definitionsFailed(f definitionForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	if f.Problems = fault.Each(err); len(f.Problems) == 0 {
		f.Problems = []string{page.Sentence(fault.Public(err))}
	}
	return v.showDefinitions(status, f)
}

// readDocuments reads documents that stand one behind the other. Each gets the
// name of the one that it takes the place of, or one after what it defines.
func readDocuments(text string, now []*munimentv1.SchemaDocument) ([]*munimentv1.SchemaDocument, error) {
	d := json.NewDecoder(strings.NewReader(text))
	var out []*munimentv1.SchemaDocument
	for n := 1; ; n++ {
		from := d.InputOffset()
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Field("documents", "document %d is not JSON, from line %d on", n, 1+strings.Count(text[:from], "\n")+strings.Count(text[from:], "\n")-strings.Count(strings.TrimLeft(text[from:], " \r\n\t"), "\n"))
		}
		what := defines(string(raw))
		if what == "" {
			return nil, fault.Field("documents", "document %d defines nothing: it has x-entity-type, x-event or $id", n)
		}
		name := fileOf(what)
		for _, old := range now {
			if defines(old.GetText()) == what {
				name = old.GetFile()
			}
		}
		out = append(out, &munimentv1.SchemaDocument{File: name, Text: string(raw)})
	}
	return out, nil
}

// defines says what a document is about; empty if it is about nothing.
func defines(text string) string {
	var d struct {
		Entity   string `json:"x-entity-type"`
		Event    string `json:"x-event"`
		Revision int    `json:"x-revision"`
		ID       string `json:"$id"`
	}
	if json.Unmarshal([]byte(text), &d) != nil {
		return ""
	}
	switch {
	case d.Entity != "":
		return "entity " + d.Entity
	case d.Event != "":
		return fmt.Sprintf("event %s %d", d.Event, max(1, d.Revision))
	case d.ID != "":
		return "shared " + d.ID
	}
	return ""
}

// fileOf is a name for a document after what it defines.
func fileOf(what string) string {
	kind, name, _ := strings.Cut(what, " ")
	if kind == "shared" {
		name = name[strings.LastIndexByte(name, '/')+1:]
		return strings.TrimSuffix(name, ".json") + ".json"
	}
	return strings.ReplaceAll(strings.TrimSuffix(name, " 1"), " ", ".") + ".json"
}
