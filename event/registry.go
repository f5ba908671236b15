package event

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"muniment.dev/fault"
)

// Registry finds descriptors by (log, type, revision) and by Go type. It is
// filled with the built-in types when it is made; customers' types, each of
// one log, are added while it is in use. It is safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	byType map[registryKey]*Descriptor
	byGo   map[reflect.Type]*Descriptor
	learn  map[LogID]*learner
}

// learner adds a log's own types when one is asked for that is not known yet.
type learner struct {
	mu   sync.Mutex // one at a time
	load func() error
}

type registryKey struct {
	log      LogID // zero for built-in types
	typ      string
	revision uint32
}

// NewRegistry returns a registry of the built-in types in the tables and of
// the frozen ones. A mistake in them panics: it is the programmer's.
func NewRegistry(tables ...[]Descriptor) *Registry {
	r := &Registry{byType: map[registryKey]*Descriptor{}, byGo: map[reflect.Type]*Descriptor{}}
	for _, table := range append([][]Descriptor{frozen()}, tables...) {
		for _, d := range table {
			if err := r.Add(LogID{}, d); err != nil {
				panic(fmt.Sprintf("event: register %s: %v", d.Type, err))
			}
		}
	}
	return r
}

// Add registers a descriptor for one log; the zero log means all logs.
// A (type, revision) is never registered twice with different content.
func (r *Registry) Add(log LogID, d Descriptor) error {
	if err := d.Check(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := registryKey{log, d.Type, d.Revision}
	if _, ok := r.byType[key]; ok {
		return fault.New(fault.Exists, "event type %s revision %d is registered already", d.Type, d.Revision)
	}
	r.byType[key] = &d
	if d.goType != nil {
		r.byGo[d.goType] = &d
	}
	return nil
}

// Put is Add for a customer's type that may be known already: what can change
// of a revision, such as its sentence and its tags, changes.
func (r *Registry) Put(log LogID, d Descriptor) error {
	if err := d.Check(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byType[registryKey{log, d.Type, d.Revision}] = &d
	return nil
}

// Learn says how a log's own types are found: load adds those that are not
// known yet. It is called, never twice at once, whenever such a type is missing.
func (r *Registry) Learn(log LogID, load func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.learn == nil {
		r.learn = map[LogID]*learner{}
	}
	r.learn[log] = &learner{load: load}
}

// Refresh adds what a log's own types are by now.
func (r *Registry) Refresh(log LogID) error {
	r.mu.RLock()
	l := r.learn[log]
	r.mu.RUnlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load()
}

// Lookup returns the descriptor of a stored type, or fault.NotFound.
func (r *Registry) Lookup(log LogID, typ string, revision uint32) (*Descriptor, error) {
	d, ok := r.known(log, typ, revision)
	if ok {
		return d, nil
	}
	if err := r.Refresh(log); err != nil {
		return nil, fault.Wrap("learn the event type "+typ, err)
	}
	if d, ok = r.known(log, typ, revision); ok {
		return d, nil
	}
	return nil, fault.New(fault.NotFound, "event type %q revision %d is not known to this version", typ, revision)
}

func (r *Registry) known(log LogID, typ string, revision uint32) (*Descriptor, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, l := range []LogID{{}, log} {
		if d, ok := r.byType[registryKey{l, typ, revision}]; ok {
			return d, true
		}
	}
	return nil, false
}

// Of returns the descriptor of a payload, or fault.NotFound.
func (r *Registry) Of(log LogID, payload any) (*Descriptor, error) {
	if c, ok := payload.(Custom); ok {
		return r.Lookup(log, c.Type, c.Revision)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d, ok := r.byGo[reflect.TypeOf(payload)]; ok {
		return d, nil
	}
	return nil, fault.New(fault.NotFound, "no event type is registered for %T", payload)
}

// BuiltIn reports whether a type is Muniment's own, in any revision.
func (r *Registry) BuiltIn(typ string) bool {
	_, ok := r.known(LogID{}, typ, 1)
	return ok
}

// All lists the newest revision of each type known to a log, by name.
func (r *Registry) All(log LogID) []*Descriptor {
	r.mu.RLock()
	defer r.mu.RUnlock()
	newest := map[string]*Descriptor{}
	for k, d := range r.byType {
		if k.log != log && !k.log.IsZero() {
			continue
		}
		if n, ok := newest[d.Type]; !ok || n.Revision < d.Revision {
			newest[d.Type] = d
		}
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b *Descriptor) int { return strings.Compare(a.Type, b.Type) })
}

// SubjectErased says that a subject's keys were destroyed: from this position
// on nothing of that subject can be read, and a missing ciphertext of those
// keys is lawful. It does not say that every copy is already gone; the erasure
// process reports that. Frozen: the stand-alone verifier knows it.
type SubjectErased struct {
	Subject SubjectID `event:"subject,public,key=1,tag=subject"`
	Keys    []KeyID   `event:"keys,public,always,key=2"`
}

// LogContinued is the first record of a new generation, which a restored log
// begins. Frozen: the stand-alone verifier knows it.
type LogContinued struct {
	Previous   LogID  `event:"previous,public,key=1"`
	Checkpoint string `event:"checkpoint,public,key=2"`
}

func frozen() []Descriptor {
	return []Descriptor{
		Describe[SubjectErased]("subject.erased", 1, "{actor} erased everything personal of {subject}"),
		Describe[LogContinued]("log.continued", 1, "{actor} continued the log {previous} after a restore"),
	}
}
