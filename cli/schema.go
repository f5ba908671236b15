package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/fault"
)

// definitions are the documents and modules of a folder.
type definitions struct {
	documents []*munimentv1.SchemaDocument
	modules   []*munimentv1.SchemaModule
}

// readDefinitions reads the *.json and *.wasm files of a folder; a module goes
// by the name of its file without the ending.
func readDefinitions(dir string) (*definitions, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &Usage{clean(err.Error())}
	}
	d := &definitions{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || ext != ".json" && ext != ".wasm" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, &Usage{clean(err.Error())}
		}
		if ext == ".wasm" {
			d.modules = append(d.modules, &munimentv1.SchemaModule{Name: strings.TrimSuffix(e.Name(), ext), Code: b})
		} else {
			d.documents = append(d.documents, &munimentv1.SchemaDocument{File: e.Name(), Text: string(b)})
		}
	}
	if len(d.documents)+len(d.modules) == 0 {
		return nil, &Usage{"there are no documents (*.json) and no modules (*.wasm) in " + clean(dir)}
	}
	return d, nil
}

// schemaFlags are what plan and apply were asked for.
type schemaFlags struct {
	*asked
	whole       bool
	acknowledge several
	reason      string
	command     string
}

func askSchema(name, about string) *schemaFlags {
	f := &schemaFlags{asked: ask(name, "DIR [flags]", about)}
	f.BoolVar(&f.whole, "whole", false, "the folder is all there is: what is defined and not in it is removed")
	return f
}

// plan reads the folder and asks the server what would become of it.
func (f *schemaFlags) plan(ctx context.Context, env Env, rest []string) (*definitions, *api.Clients, *munimentv1.PlanSchemaResponse, error) {
	dir, err := only(rest, "the folder of the documents")
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := readDefinitions(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := f.clients(ctx, env)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := c.Schema.PlanSchema(ctx, &munimentv1.PlanSchemaRequest{Documents: d.documents, Modules: d.modules, Whole: f.whole})
	if err != nil {
		return nil, nil, nil, f.fault(err, "")
	}
	return d, c, p, nil
}

func schemaPlan(ctx context.Context, env Env, args []string) error {
	f := askSchema("schema plan", "What would become of the documents (*.json) and modules (*.wasm) in a folder: what is added, changed and removed, what is refused and why, and what has to be acknowledged. Stored events are read to see whether they fit. Nothing is changed. It fails if something is refused.")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	_, _, p, err := f.plan(ctx, env, rest)
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(env.Stdout, proto.Message(p), "  ")
	} else {
		writePlan(env.Stdout, p)
	}
	return errors.Join(err, refusedIn(p))
}

func refusedIn(p *munimentv1.PlanSchemaResponse) error {
	n := 0
	for _, s := range p.GetSteps() {
		if s.GetVerdict() == "refused" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return &failure{msg: fmt.Sprintf("refused: %d of the %s; nothing can be applied as it is", n, plural(len(p.GetSteps()), "step", "steps"))}
}

func writePlan(w io.Writer, p *munimentv1.PlanSchemaResponse) {
	if p.GetUnchanged() {
		fmt.Fprintln(w, "Nothing changes: it is defined so already.")
		return
	}
	writeSteps(w, p.GetSteps(), p.GetWarnings(), p.GetRebuild())
	if n := p.GetChecked(); n > 0 {
		fmt.Fprintf(w, "%d stored %s checked.\n", n, plural(int(n), "event was", "events were"))
	}
	if n := p.GetCompared(); n > 0 {
		fmt.Fprintf(w, "%d %s computed anew and compared with what is served.\n", n, plural(int(n), "entity was", "entities were"))
	}
}

func writeSteps(w io.Writer, steps []*munimentv1.SchemaStep, warnings []string, rebuild bool) {
	for _, s := range steps {
		fmt.Fprintln(w, clean(s.GetText()))
		if s.GetCount() > 0 {
			fmt.Fprintf(w, "    at %s\n", positions(s))
		}
		writeExamples(w, s)
		if s.GetAcknowledge() != "" {
			fmt.Fprintf(w, "    to have it so: --acknowledge %s\n", clean(s.GetAcknowledge()))
		}
	}
	for _, msg := range warnings {
		fmt.Fprintf(w, "warning: %s\n", clean(msg))
	}
	if rebuild {
		fmt.Fprintln(w, "Entities are computed anew; until that is done they are served as before.")
	}
}

// positions says where events are that a step is about.
func positions(s *munimentv1.SchemaStep) string {
	const shown = 10
	var out []string
	for _, p := range s.GetPositions()[:min(shown, len(s.GetPositions()))] {
		out = append(out, fmt.Sprint(p))
	}
	text := plural(int(s.GetCount()), "position ", "positions ") + strings.Join(out, ", ")
	if s.GetCount() > uint64(len(out)) {
		text += fmt.Sprintf(" and others, %d in all", s.GetCount())
	}
	return text
}

func schemaApply(ctx context.Context, env Env, args []string) error {
	f := askSchema("schema apply", "Make the documents (*.json) and modules (*.wasm) in a folder the definitions. The plan is shown first. What has to be acknowledged is asked for on a terminal; elsewhere name its key.")
	f.Var(&f.acknowledge, "acknowledge", "what of the plan is meant, by its key; may be there several times")
	f.StringVar(&f.reason, "reason", "", "why, in your own words; it is recorded")
	f.StringVar(&f.command, "command-id", "", "id of the command: repeated with the same id, it happens once")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	d, c, p, err := f.plan(ctx, env, rest)
	if err != nil {
		return err
	}
	out := env.Stdout
	if f.json {
		out = env.Stderr
	}
	writePlan(out, p)
	if err := refusedIn(p); err != nil || p.GetUnchanged() {
		return err
	}
	if err := f.acknowledged(env, p); err != nil {
		return err
	}
	if f.command == "" {
		f.command = newCommandID()
	}
	res, err := c.Schema.ApplySchema(ctx, &munimentv1.ApplySchemaRequest{Documents: d.documents, Modules: d.modules, Whole: f.whole,
		Acknowledge: f.acknowledge, CommandId: f.command, Reason: f.reason})
	if err != nil {
		return f.fault(err, "Repeat the command with --command-id "+f.command+": it happens at most once.")
	}
	if f.json {
		return printJSON(env.Stdout, proto.Message(res), "  ")
	}
	_, err = fmt.Fprintf(env.Stdout, "Applied at position %d.\n", res.GetChange().GetPosition())
	return err
}

// acknowledged sees that whatever the plan asks is meant.
func (f *schemaFlags) acknowledged(env Env, p *munimentv1.PlanSchemaResponse) error {
	var open []string
	for _, s := range p.GetSteps() {
		if k := s.GetAcknowledge(); k != "" && !slices.Contains(f.acknowledge, k) && !slices.Contains(open, k) {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if !confirmed(env, fmt.Sprintf("Is that meant (%s)?", clean(strings.Join(open, ", ")))) {
		return &failure{msg: "nothing was applied; if it is meant, add --acknowledge " + clean(strings.Join(open, " --acknowledge "))}
	}
	f.acknowledge = append(f.acknowledge, open...)
	return nil
}

func schemaCheck(_ context.Context, env Env, args []string) error {
	f := ask("schema check", "DIR", "Check the documents (*.json) and modules (*.wasm) in a folder as a whole, without a server: every mistake, its file and place.")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	dir, err := only(rest, "the folder of the documents")
	if err != nil {
		return err
	}
	d, err := readDefinitions(dir)
	if err != nil {
		return err
	}
	docs := custom.Documents{Files: map[string]string{}, Modules: map[string]custom.Module{}}
	for _, x := range d.documents {
		docs.Files[x.GetFile()] = x.GetText()
	}
	for _, x := range d.modules {
		docs.Modules[x.GetName()] = custom.Module{Code: x.GetCode()}
	}
	defs, err := custom.Define(docs, custom.Go{})
	var all schema.Problems
	switch {
	case errors.As(err, &all):
		return &failure{msg: mistakes(all.Each())}
	case err != nil:
		return &failure{msg: clean(fault.Public(err))}
	}
	for _, w := range defs.Set.Warnings {
		fmt.Fprintf(env.Stdout, "warning: %s\n", clean(w.String()))
	}
	_, err = fmt.Fprintf(env.Stdout, "%d entity %s and %d event %s are well defined.\n", len(defs.Set.Entities), plural(len(defs.Set.Entities), "type", "types"),
		len(defs.Set.Events), plural(len(defs.Set.Events), "type", "types"))
	return err
}

func schemaShow(ctx context.Context, env Env, args []string) error {
	f := ask("schema show", "[TYPE] [flags]", "What is defined: entity types and event types with their fields. Or with --to all documents and modules, written into a folder that does not exist yet.")
	at := f.String("at", "", "as of then: a position of the log, or a time")
	to := f.String("to", "", "folder to make and to write the documents and modules into")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	if len(rest) > 1 {
		return &Usage{clean(rest[1]) + " is not expected here"}
	}
	req := &munimentv1.GetSchemaRequest{WithCode: *to != "", Read: &munimentv1.Read{}}
	if err := pointOf(req.Read, *at); err != nil {
		return err
	}
	c, err := f.clients(ctx, env)
	if err != nil {
		return err
	}
	s, err := c.Schema.GetSchema(ctx, req)
	switch {
	case err != nil:
		return answered(err)
	case *to != "":
		return writeDefinitions(env.Stdout, *to, s)
	case f.json:
		return printJSON(env.Stdout, proto.Message(s), "  ")
	}
	for _, t := range s.GetTypes() {
		if len(rest) == 0 || rest[0] == t.GetName() || slices.ContainsFunc(t.GetEvents(), func(e *munimentv1.EventRevision) bool { return e.GetType() == rest[0] }) {
			writeType(env.Stdout, t)
		}
	}
	if len(s.GetTypes()) == 0 {
		fmt.Fprintln(env.Stdout, "Nothing is defined.")
	}
	writeProgress(env.Stdout, s)
	return nil
}
