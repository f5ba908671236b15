package customapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/custom"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// SchemaService implements munimentv1connect.SchemaServiceHandler.
type SchemaService struct{ *Service }

// maxPositions is how many positions a step of a plan names.
const maxPositions = 100

// change is what documents would change, or do.
type change struct {
	cmd      custom.Apply
	steps    []*munimentv1.SchemaStep
	warnings []string
	plan     schema.Plan
	checked  uint64
	replaced []string // modules that are there and become others
	shadows  []*shadow
	at       event.Position // up to where entities were computed
}

// PlanSchema says what would become of documents.
func (s SchemaService) PlanSchema(ctx context.Context, req *munimentv1.PlanSchemaRequest) (*munimentv1.PlanSchemaResponse, error) {
	if err := s.manages(ctx); err != nil {
		return nil, err
	}
	c, err := s.plan(ctx, req.GetDocuments(), req.GetModules(), req.GetWhole())
	if err != nil {
		return nil, err
	}
	return &munimentv1.PlanSchemaResponse{Steps: c.steps, Warnings: c.warnings, Rebuild: c.cmd.Applied.Rebuild, Checked: c.checked, Compared: uint64(c.cmd.Applied.Compared),
		Unchanged: len(c.cmd.Put)+len(c.cmd.Remove)+len(c.cmd.Modules)+len(c.cmd.Drop) == 0}, nil
}

// ApplySchema makes documents the definitions.
func (s SchemaService) ApplySchema(ctx context.Context, req *munimentv1.ApplySchemaRequest) (*munimentv1.ApplySchemaResponse, error) {
	if err := s.manages(ctx); err != nil { // refused and recorded by the decider, if it comes so far
		env, failed := call.Envelope(ctx, req)
		if failed == nil {
			s.core.Runner.Refused(ctx, custom.Applying.Name, env, err)
		}
		return nil, err
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	// A repeated command gets its answer whatever became of the definitions
	// since: what it would do to them as they are now was not asked.
	if done, ok, err := s.core.Runner.Earlier(ctx, env); err != nil || ok {
		return &munimentv1.ApplySchemaResponse{Change: adapter.Change(done)}, err
	}
	c, err := s.plan(ctx, req.GetDocuments(), req.GetModules(), req.GetWhole())
	if err != nil {
		return nil, err
	}
	if err := refusedStep(c.steps); err != nil {
		return nil, err
	}
	if err := c.plan.Check(req.GetAcknowledge()...); err != nil {
		return nil, err
	}
	res, err := s.apply(ctx, env, c)
	if err != nil {
		return nil, err
	}
	if res.Replayed {
		return &munimentv1.ApplySchemaResponse{Change: adapter.Change(res)}, nil
	}
	return &munimentv1.ApplySchemaResponse{Change: adapter.Change(res), Steps: c.steps, Warnings: c.warnings, Rebuild: c.cmd.Applied.Rebuild}, nil
}

func refusedStep(steps []*munimentv1.SchemaStep) error {
	for _, st := range steps {
		if st.GetVerdict() == string(schema.Refused) && st.GetCount() > 0 {
			return fault.New(fault.Refused, "%s", st.GetText())
		}
	}
	return nil
}

// manages refuses who may not change definitions.
func (s SchemaService) manages(ctx context.Context) error {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	who, err := s.core.Runner.Authority(ctx, caller.Actor(), s.core.Runner.Log.Mark().Size)
	if err != nil {
		return err
	}
	return who.Need(authz.ManageInstance, authz.Instance)
}

// plan compares the documents that are to be with those that are, and reads the
// events that have to be brought up to new revisions.
func (s SchemaService) plan(ctx context.Context, documents []*munimentv1.SchemaDocument, modules []*munimentv1.SchemaModule, whole bool) (*change, error) {
	now, err := s.Catalog.Documents(ctx, 0)
	if err != nil {
		return nil, err
	}
	old, err := s.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	c := &change{cmd: custom.Apply{Schema: s.core.Runner.Log.ID().ID, From: now.At}}
	next, err := c.documents(now, documents, modules, whole)
	if err != nil {
		return nil, err
	}
	defs, err := s.Catalog.Define(next)
	if err != nil {
		return nil, err
	}
	for _, w := range defs.Set.Warnings {
		c.warnings = append(c.warnings, w.String())
	}
	c.plan = schema.Compare(old.Set, defs.Set, func(typ string, revision uint32) bool { return s.stored(ctx, typ, revision) })
	for _, ch := range c.plan.Changes {
		c.step(ch)
	}
	c.moduleSteps(now)
	if err := s.check(ctx, c, old, defs); err != nil {
		return nil, err
	}
	if err := s.expose(ctx, c); err != nil {
		return nil, err
	}
	return c, s.compare(ctx, c, old, defs)
}

// documents are those that are to be, with what the command has to change.
func (c *change) documents(now custom.Documents, documents []*munimentv1.SchemaDocument, modules []*munimentv1.SchemaModule, whole bool) (custom.Documents, error) {
	next := custom.Documents{Files: maps.Clone(now.Files), Modules: maps.Clone(now.Modules), At: now.At, Epoch: now.Epoch}
	if next.Files == nil || whole {
		next.Files = map[string]string{}
	}
	if next.Modules == nil || whole {
		next.Modules = map[string]custom.Module{}
	}
	c.cmd.Put, c.cmd.Modules = map[string]string{}, map[string]custom.NewModule{}
	for i, d := range documents {
		if d.GetFile() == "" || len(d.GetFile()) > 128 {
			return next, fault.Field(fmt.Sprintf("documents[%d].file", i), "a document has a name of at most 128 bytes")
		}
		next.Files[d.GetFile()] = d.GetText()
		if now.Files[d.GetFile()] != d.GetText() {
			c.cmd.Put[d.GetFile()] = d.GetText()
		}
	}
	for i, m := range modules {
		if !event.IsName(m.GetName()) {
			return next, fault.Field(fmt.Sprintf("modules[%d].name", i), "a module has a lower-case name of at most 64 bytes")
		}
		sum := sha256.Sum256(m.GetCode())
		next.Modules[m.GetName()] = custom.Module{SHA256: sum, Code: m.GetCode()}
		if now.Modules[m.GetName()].SHA256 != sum {
			c.cmd.Modules[m.GetName()] = custom.NewModule{Subject: event.NewID(), Code: m.GetCode()}
		}
	}
	for file := range now.Files {
		if _, ok := next.Files[file]; !ok {
			c.cmd.Remove = append(c.cmd.Remove, file)
		}
	}
	for name := range now.Modules {
		if _, ok := next.Modules[name]; !ok {
			c.cmd.Drop = append(c.cmd.Drop, name)
		}
	}
	slices.Sort(c.cmd.Remove)
	slices.Sort(c.cmd.Drop)
	return next, nil
}

// step notes a change of the plan.
func (c *change) step(ch schema.Change) {
	c.steps = append(c.steps, &munimentv1.SchemaStep{Verdict: string(ch.Verdict), Entity: ch.Entity, Event: ch.Event, Revision: ch.Revision, Field: ch.Field, Message: ch.Msg, Text: ch.String(), Acknowledge: ch.Key})
	name := ch.Entity
	if ch.Event != "" {
		name = fmt.Sprintf("%s/%d", ch.Event, ch.Revision)
	}
	a := &c.cmd.Applied
	a.Rebuild = a.Rebuild || ch.Rebuild
	list := &a.Changed
	switch ch.Verdict {
	case schema.Added:
		list = &a.Added
	case schema.Removed:
		list = &a.Removed
	}
	if !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
	if ch.Exposed {
		a.Exposed = append(a.Exposed, name+"/"+ch.Field)
	}
}

// moduleSteps are the changes of modules. Another module may compute anything
// otherwise.
func (c *change) moduleSteps(now custom.Documents) {
	for _, name := range slices.Sorted(maps.Keys(c.cmd.Modules)) {
		verdict := schema.Added
		if _, ok := now.Modules[name]; ok {
			verdict, c.cmd.Applied.Rebuild = schema.Changed, true
			c.replaced = append(c.replaced, name)
		}
		c.moduleStep(verdict, name)
	}
	for _, name := range c.cmd.Drop {
		c.moduleStep(schema.Removed, name)
	}
}

func (c *change) moduleStep(v schema.Verdict, name string) {
	c.steps = append(c.steps, &munimentv1.SchemaStep{Verdict: string(v), Module: name, Message: "module " + string(v), Text: string(v) + " module " + name})
}

// stored reports whether the log holds events of a type.
func (s SchemaService) stored(ctx context.Context, typ string, revision uint32) bool {
	for r, err := range s.core.Runner.Log.Read(ctx, event.OfTerm(event.TypeTerm(typ)), 0) {
		if err != nil || revision == 0 || r.Revision == revision {
			return true // an error: to be on the safe side
		}
	}
	return false
}

// check brings every stored event of the types that get a new revision, or
// another upcaster, up to it, and refuses the change if one does not fit.
func (s SchemaService) check(ctx context.Context, c *change, old, next *custom.Definitions) error {
	for _, name := range slices.Sorted(maps.Keys(next.Set.Events)) {
		before := old.Set.Events[name]
		if before == nil || len(before.Revisions) == len(next.Set.Events[name].Revisions) && !c.touches(name) {
			continue
		}
		broken := &munimentv1.SchemaStep{Verdict: string(schema.Refused), Entity: next.Set.Events[name].Entity, Event: name}
		for r, err := range s.core.Runner.Log.Read(ctx, event.OfTerm(event.TypeTerm(name)), 0) {
			if err != nil {
				return err
			}
			f, err := s.core.Runner.Sealer.Decode(ctx, r)
			if err != nil {
				return err
			}
			c.checked++
			if why := fits(ctx, next, f); why != nil {
				if broken.Count++; broken.Count == 1 {
					broken.Message = fault.Public(why)
				}
				if len(broken.Positions) < maxPositions {
					broken.Positions = append(broken.Positions, uint64(r.Position))
				}
			}
		}
		if broken.Count > 0 {
			broken.Text = fmt.Sprintf("! event %s: %d stored events do not fit the newest revision, the first at position %d: %s; write an x-upcast that mends them",
				name, broken.Count, broken.Positions[0], broken.Message)
			c.steps = append(c.steps, broken)
		}
	}
	return nil
}

func (c *change) touches(typ string) bool {
	return len(c.cmd.Modules) > 0 || slices.ContainsFunc(c.plan.Changes, func(ch schema.Change) bool { return ch.Event == typ })
}

// fits says why a stored event cannot be brought up to the newest revision of
// its type. What was erased of it is not missed.
func fits(ctx context.Context, next *custom.Definitions, f event.Fact) error {
	p, ok := f.Payload.(event.Custom)
	if !ok || len(p.Gone) > 0 {
		return nil
	}
	value, def, err := next.Up(ctx, p)
	if err != nil {
		return err
	}
	return def.Validate(value)
}

// expose names the positions that hold in clear what is to be sealed.
func (s SchemaService) expose(ctx context.Context, c *change) error {
	for i, ch := range c.plan.Changes {
		if !ch.Exposed {
			continue
		}
		for r, err := range s.core.Runner.Log.Read(ctx, event.OfTerm(event.TypeTerm(ch.Event)), 0) {
			if err != nil {
				return err
			}
			st := c.steps[i]
			if r.Revision > ch.Revision {
				continue
			}
			if st.Count++; len(st.Positions) < maxPositions {
				st.Positions = append(st.Positions, uint64(r.Position))
			}
		}
	}
	return nil
}

// GetSchema answers documents, modules and what they define.
func (s SchemaService) GetSchema(ctx context.Context, req *munimentv1.GetSchemaRequest) (*munimentv1.GetSchemaResponse, error) {
	who, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	if !who.Member() && len(who.Permissions(authz.Publish))+len(who.Permissions(authz.Read)) == 0 {
		return nil, who.Need(authz.ReadObjects, authz.Instance)
	}
	at, err := s.core.AsOf(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	docs, err := s.Catalog.Documents(ctx, at)
	if err != nil {
		return nil, err
	}
	defs, err := s.Catalog.Recorded(ctx, docs)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.GetSchemaResponse{Position: uint64(docs.At)}
	if docs.At > 0 {
		r, err := s.core.Runner.Log.Record(ctx, docs.At)
		if err != nil {
			return nil, err
		}
		out.Changed = timestamppb.New(r.Time)
	}
	for _, file := range slices.Sorted(maps.Keys(docs.Files)) {
		out.Documents = append(out.Documents, &munimentv1.SchemaDocument{File: file, Text: docs.Files[file]})
	}
	for _, name := range slices.Sorted(maps.Keys(docs.Modules)) {
		m := docs.Modules[name]
		module := &munimentv1.SchemaModule{Name: name, Sha256: hex.EncodeToString(m.SHA256[:])}
		if req.GetWithCode() {
			module.Code = m.Code
		}
		out.Modules = append(out.Modules, module)
	}
	for _, name := range slices.Sorted(maps.Keys(defs.Set.Entities)) {
		t := entityType(defs, defs.Set.Entities[name])
		for _, f := range t.Fields {
			f.Indexing = indexing(f, docs.Claims[custom.FieldName(name, f.Name)])
		}
		out.Types = append(out.Types, t)
	}
	return out, s.progress(ctx, docs, out)
}

func entityType(defs *custom.Definitions, e *schema.Entity) *munimentv1.EntityType {
	out := &munimentv1.EntityType{Name: e.Name, Title: e.Title, Retired: e.Retired, Fields: typeFields(e.Fields)}
	for _, name := range slices.Sorted(maps.Keys(defs.Set.Events)) {
		if t := defs.Set.Events[name]; t.Entity == e.Name {
			def := t.Latest()
			out.Events = append(out.Events, &munimentv1.EventRevision{Type: name, Revision: def.Revision, Title: def.Title, Retired: def.Retired, Creates: def.Creates, Fields: typeFields(def.Fields)})
		}
	}
	return out
}

func typeFields(fields []schema.Field) (out []*munimentv1.TypeField) {
	for i := range fields {
		f := &fields[i]
		out = append(out, &munimentv1.TypeField{Name: f.Name, Kind: string(f.Kind), Public: f.Public, Subject: f.Subject, Search: string(f.Search), Unique: f.Unique, Ref: f.Ref, Title: f.Title})
	}
	return out
}

// who is the caller's authority.
func (s *Service) who(ctx context.Context) (authz.Authority, error) {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return authz.Authority{}, err
	}
	return s.core.Runner.Authority(ctx, caller.Actor(), s.core.Runner.Log.Mark().Size)
}
