package sim

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/seal"
)

// journal is what became durable, written down beside the log as it happened.
type journal struct {
	sealer *seal.Sealer // opens with the vault's own keys
	model  *model
	tell   func(string) // the trace
	failed func(error)

	mu       sync.Mutex
	leaves   [][]byte
	terms    [][]event.Term
	said     []event.Fact // as they could be read when they were new
	hashes   []tlog.Hash  // stored hashes of the tree (tlog.StoredHashes)
	outcomes map[commandKey]eventlog.Outcome
	tags     map[event.SubjectID][]event.Term // blind terms under which a subject was found
	keys     map[event.KeyID]event.SubjectID
	erased   map[event.SubjectID]event.Position
	ended    map[event.KeyID]event.Position
}

type commandKey struct {
	actor   event.Actor
	command event.ID
}

func newJournal(log event.LogID, base *memlog.Store, v *vault, reg *event.Registry) *journal {
	return &journal{
		sealer:   &seal.Sealer{Log: log, Assigned: assigned{base, log}, Keys: v, Registry: reg},
		outcomes: map[commandKey]eventlog.Outcome{}, tags: map[event.SubjectID][]event.Term{},
		keys: map[event.KeyID]event.SubjectID{}, erased: map[event.SubjectID]event.Position{}, ended: map[event.KeyID]event.Position{},
	}
}

// assigned implements seal.Assignments on the disk.
type assigned struct {
	base *memlog.Store
	log  event.LogID
}

func (a assigned) AssignedKey(ctx context.Context, s event.SubjectID) (event.KeyID, event.State, error) {
	use, ok, err := a.base.Subject(ctx, a.log, s)
	switch {
	case err != nil || !ok:
		return event.KeyID{}, event.Absent, err
	case use.Erased:
		return use.Key, event.Erased, nil
	}
	return use.Key, event.Present, nil
}

// Generation implements seal.Assignments.
func (a assigned) Generation() event.LogID { return a.log }

// size is the number of durable records.
func (j *journal) size() event.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return event.Position(len(j.leaves))
}

// leaf is the bytes of a durable record; nil if there is none.
func (j *journal) leaf(p event.Position) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p == 0 || int(p) > len(j.leaves) {
		return nil
	}
	return j.leaves[p-1]
}

// root is the root of the first size records, computed by package tlog.
func (j *journal) root(size event.Position) event.Hash {
	j.mu.Lock()
	defer j.mu.Unlock()
	h, err := tlog.TreeHash(int64(size), tlog.HashReaderFunc(func(index []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(index))
		for i, x := range index {
			out[i] = j.hashes[x]
		}
		return out, nil
	}))
	if err != nil {
		panic(err)
	}
	return event.Hash(h)
}

// outcome is what a command did.
func (j *journal) outcome(k commandKey) (eventlog.Outcome, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	o, ok := j.outcomes[k]
	return o, ok
}

// facts are those that a decision rests on, up to a position.
func (j *journal) facts(list []decide.Facts, upto event.Position) []event.Fact {
	var q event.Query
	for _, f := range list {
		it := event.Item{Types: f.Types}
		if !f.Stream.IsZero() {
			it.All = append(it.All, event.StreamTerm(f.Stream))
		}
		for _, t := range f.Tags {
			it.All = append(it.All, event.TagTerm(t))
		}
		if f.Blind != nil {
			t, err := j.sealer.BlindTerm(context.Background(), f.Blind.Name, f.Blind.Value, f.Blind.Fold)
			if err != nil {
				panic(err)
			}
			it.All = append(it.All, t)
		}
		q = append(q, it)
	}
	return j.selected(q, upto)
}

// selected are the facts that a query selects, up to a position.
func (j *journal) selected(q event.Query, upto event.Position) (facts []event.Fact) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, f := range j.said[:upto] {
		if q.Matches(f.Type, j.terms[i]) {
			facts = append(facts, f)
		}
	}
	return facts
}

// knows reports whether a record was taken in.
func (j *journal) knows(p event.Position) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int(p) <= len(j.said)
}

// durable takes in a batch at the moment at which it cannot be lost any more.
func (j *journal) durable(b *eventlog.Batch) {
	first := j.size() + 1
	if b.Records[0].Position != first {
		j.failed(fmt.Errorf("after record %d came record %d", first-1, b.Records[0].Position))
		return
	}
	for i, r := range b.Records {
		j.take(r, b.Terms[i])
	}
	for _, o := range b.Outcomes {
		k := commandKey{o.Actor, o.Command}
		if before, twice := j.outcome(k); twice {
			j.failed(fmt.Errorf("command %s of %s did its work twice, at %d and at %d", short(o.Command), actor(o.Actor), before.First, o.First))
		}
		j.mu.Lock()
		j.outcomes[k] = o
		j.mu.Unlock()
		if err := j.judge(b.Records[o.First-first : o.Last-first+1]); err != nil {
			j.failed(err)
		}
	}
}

// take writes one record down and holds its keys to the rules.
func (j *journal) take(r *event.Record, terms []event.Term) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Position != event.Position(len(j.leaves)+1) {
		j.failed(fmt.Errorf("after record %d came record %d", len(j.leaves), r.Position))
	}
	stored, err := tlog.StoredHashes(int64(len(j.leaves)), r.Leaf, tlog.HashReaderFunc(func(index []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(index))
		for i, x := range index {
			out[i] = j.hashes[x]
		}
		return out, nil
	}))
	if err != nil {
		panic(err)
	}
	j.hashes = append(j.hashes, stored...)
	j.leaves, j.terms = append(j.leaves, r.Leaf), append(j.terms, terms)
	for _, b := range r.Blocks {
		if owner, used := j.keys[b.Key]; used && owner != b.Subject {
			j.failed(fmt.Errorf("record %d: the key of %s serves %s", r.Position, short(owner.ID), short(b.Subject.ID)))
		}
		if p, ok := j.erased[b.Subject]; ok {
			j.failed(fmt.Errorf("record %d seals something for %s, who was erased at %d", r.Position, short(b.Subject.ID), p))
		}
		if p, ok := j.ended[b.Key]; ok {
			j.failed(fmt.Errorf("record %d uses a key that was destroyed at %d", r.Position, p))
		}
		j.keys[b.Key] = b.Subject
	}
	for _, t := range r.Blind {
		j.tags[t.Subject] = append(j.tags[t.Subject], event.BlindTerm(t.Name, t.Version, t.Value))
	}
}

// judge asks the model whether the records of one command could follow.
func (j *journal) judge(records []*event.Record) error {
	facts := make([]event.Fact, len(records))
	for i, r := range records {
		f, err := j.sealer.Decode(context.Background(), r)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Position, err)
		}
		facts[i] = f
		j.mu.Lock()
		j.said = append(j.said, f)
		j.mu.Unlock()
		j.tell(fmt.Sprintf("  %d %s %s:%s by %s at %s", r.Position, r.Type, r.Stream.Kind, short(r.Stream.ID), actor(r.Actor), r.Time.Format("15:04:05.000")))
	}
	for _, f := range facts {
		if p, ok := f.Payload.(event.SubjectErased); ok {
			j.mu.Lock()
			j.erased[p.Subject] = f.Position
			for _, k := range p.Keys {
				j.ended[k] = f.Position
			}
			j.mu.Unlock()
		}
	}
	return j.model.follow(facts)
}

// short is an id as it stands in traces. Those that do not follow from the
// seed never do.
func short(id event.ID) string { return id.String()[:6] }

func actor(a event.Actor) string {
	if a == event.System {
		return a.Kind
	}
	return a.Kind + " " + short(a.ID)
}
