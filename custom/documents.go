package custom

import (
	"crypto/sha256"
	"maps"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Documents are the definitions as they were given.
type Documents struct {
	Files   map[string]string
	Modules map[string]Module
	At      event.Position // of the newest schema.applied; 0: nothing was ever defined
	Epoch   event.Position // of the newest one after which entities are computed anew

	Claims   map[string]Claims         // by TYPE/FIELD: of fields whose values are, or were, claimed anew
	Searched map[string]event.Position // by TYPE/FIELD: since when the field can be searched for as it can
	Compared Compared                  // of the newest change
}

// Compared is what a change of definitions would do to entities, as it was found
// before: of Entities that were computed anew, how many came out otherwise than
// they were served, and how many have an applier that fails and did not before.
type Compared struct{ Entities, Differ, Fail int64 }

// Module is a WebAssembly module.
type Module struct {
	SHA256 [32]byte
	Code   []byte // nil if its subject was erased
}

// DocumentFacts are the facts that Documents are folded from.
func DocumentFacts() []decide.Facts { return []decide.Facts{{Types: schemaTypes}} }

// EvolveDocuments folds one fact of DocumentFacts.
func EvolveDocuments(s Documents, f event.Fact) Documents {
	switch p := f.Payload.(type) {
	case DocumentPut:
		s.Files = with(s.Files, p.File, p.Text)
	case DocumentRemoved:
		s.Files = without(s.Files, p.File)
	case ModulePut:
		code, _ := p.Code.Get()
		m := Module{Code: code}
		copy(m.SHA256[:], p.SHA256)
		s.Modules = with(s.Modules, p.Name, m)
	case ModuleRemoved:
		s.Modules = without(s.Modules, p.Name)
	case SchemaApplied:
		s.At = f.Position
		if p.Rebuild {
			s.Epoch = f.Position
		}
		s.Compared = Compared{p.Compared, p.Differ, p.Fail}
		for _, name := range p.Searched {
			s.Searched = with(s.Searched, name, f.Position)
		}
		s.Claims = evolveClaims(s.Claims, f)
	case ValuesIndexed:
		s.Claims = evolveClaims(s.Claims, f)
	}
	return s
}

func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	out := make(map[K]V, len(m)+1)
	maps.Copy(out, m)
	out[k] = v
	return out
}

func without[K comparable, V any](m map[K]V, k K) map[K]V {
	out := maps.Clone(m)
	delete(out, k)
	return out
}

// Apply changes the definitions. What it does was planned against those of
// From; package custom/schema says what the plan may be.
type Apply struct {
	Schema  event.ID       // of the stream; that of the log
	From    event.Position // Documents.At when it was planned
	Put     map[string]string
	Remove  []string
	Modules map[string]NewModule
	Drop    []string // modules
	Applied SchemaApplied
}

// NewModule is a module that is to be kept under a fresh subject.
type NewModule struct {
	Subject event.ID
	Code    []byte
}

// ErrMoved refuses a change of definitions, or events, that were prepared
// against definitions that are not the present ones any more.
var ErrMoved = fault.New(fault.Conflict, "the definitions were changed meanwhile; plan again and look at what has become of it")

// Applying decides Apply.
var Applying = decide.Decider[Documents, Apply]{
	Name:   "change the definitions",
	Query:  func(Apply) []decide.Facts { return DocumentFacts() },
	Evolve: EvolveDocuments,
	Allow: func(a authz.Authority, _ Documents, _ Apply) error {
		return a.Need(authz.ManageInstance, authz.Instance)
	},
	Decide: func(s Documents, c Apply) ([]event.New, error) {
		if s.At != c.From {
			return nil, ErrMoved
		}
		var out []any
		for _, file := range slices.Sorted(maps.Keys(c.Put)) {
			if old, ok := s.Files[file]; !ok || old != c.Put[file] {
				out = append(out, DocumentPut{File: file, Text: c.Put[file]})
			}
		}
		for _, file := range c.Remove {
			if _, ok := s.Files[file]; ok {
				out = append(out, DocumentRemoved{File: file})
			}
		}
		out = append(out, c.modules(s)...)
		if len(out) == 0 {
			return nil, nil
		}
		events := make([]event.New, 0, len(out)+1)
		for _, payload := range append(out, c.Applied) {
			events = append(events, event.New{Stream: event.Stream{Kind: "schema", ID: c.Schema}, Payload: payload})
		}
		return events, nil
	},
}

// modules are the events of the modules that differ.
func (c *Apply) modules(s Documents) (out []any) {
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		m := c.Modules[name]
		sum := sha256.Sum256(m.Code)
		if old, ok := s.Modules[name]; !ok || old.SHA256 != sum || old.Code == nil {
			out = append(out, ModulePut{Name: name, Module: m.Subject, SHA256: sum[:], Code: event.Seal(m.Code)})
		}
	}
	for _, name := range c.Drop {
		if _, ok := s.Modules[name]; ok {
			out = append(out, ModuleRemoved{Name: name})
		}
	}
	return out
}
