package eventlog

import (
	"context"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// batch is a Batch under construction, with those who wait for it.
type batch struct {
	Batch
	entries []entry // of Records
	members []member
	ids     map[event.ID]bool
	done    map[outcomeKey]int // index into members
	now     time.Time
}

type member struct {
	w   *waiter
	res Appended
}

type outcomeKey struct {
	actor   event.Actor
	command event.ID
}

func (b *batch) waiters() []*waiter {
	ws := make([]*waiter, len(b.members))
	for i, m := range b.members {
		ws[i] = m.w
	}
	return ws
}

// build checks each waiter in order against the log and what the batch holds
// already. Those refused are told so and leave; the others' events are placed,
// hashed and added. An error is about the log itself and ends the batch.
func (s *sequencer) build(ctx context.Context, ws []*waiter) (*batch, error) {
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	b := &batch{Batch: Batch{Log: s.log.id, Prev: s.head}, ids: map[event.ID]bool{}, done: map[outcomeKey]int{}, now: now}
	b.Next = s.head
	for _, w := range ws {
		res, err := s.admit(ctx, b, w.req)
		switch {
		case err == nil && res.Replayed:
			b.settle(w, res)
		case err == nil:
			b.members = append(b.members, member{w, res})
		case isVerdict(err):
			w.finish(Appended{}, err.(*verdict).error)
		default:
			return nil, err
		}
	}
	b.Next.Frontier = slices.Clone(s.tree.frontier)
	return b, nil
}

// settle answers a repeated command: at once if its first run is durable, with
// the batch if it is part of it.
func (b *batch) settle(w *waiter, res Appended) {
	if res.Last <= b.Prev.Size {
		w.finish(res, nil)
		return
	}
	b.members = append(b.members, member{w, res})
}

// admit checks one request and, if it holds, places its events in the batch.
func (s *sequencer) admit(ctx context.Context, b *batch, r Request) (Appended, error) {
	if res, ok, err := s.repeated(ctx, b, r); ok || err != nil {
		return res, err
	}
	if err := s.holds(ctx, b, r.If); err != nil {
		return Appended{}, err
	}
	keys, err := s.checkEvents(ctx, b, r.Events)
	if err != nil {
		return Appended{}, err
	}
	plan, err := s.plan(ctx, b, r.Events)
	if err != nil {
		return Appended{}, err
	}
	s.place(b, plan, keys)
	res := Appended{Log: b.Log, First: b.Next.Size - event.Position(len(plan)) + 1, Last: b.Next.Size, Time: b.now}
	b.done[outcomeKey{r.Actor, r.Command}] = len(b.Outcomes)
	b.Outcomes = append(b.Outcomes, Outcome{Actor: r.Actor, Command: r.Command, Digest: r.Digest, First: res.First, Last: res.Last})
	return res, nil
}

// repeated finds an earlier run of the same command.
func (s *sequencer) repeated(ctx context.Context, b *batch, r Request) (Appended, bool, error) {
	if i, ok := b.done[outcomeKey{r.Actor, r.Command}]; ok {
		o := b.Outcomes[i]
		if o.Digest != r.Digest {
			return Appended{}, true, &verdict{ErrCommandReused}
		}
		return Appended{Log: b.Log, First: o.First, Last: o.Last, Time: b.now, Replayed: true}, true, nil
	}
	o, ok, err := s.log.store.Outcome(ctx, b.Log, r.Actor, r.Command)
	if err != nil || !ok {
		return Appended{}, false, err
	}
	if o.Digest != r.Digest {
		return Appended{}, true, &verdict{ErrCommandReused}
	}
	res, err := s.log.replayed(ctx, o)
	return res, true, err
}

// holds checks a condition against the batch, the recent records and, if it
// reaches further back, the index.
func (s *sequencer) holds(ctx context.Context, b *batch, c event.Condition) error {
	for stream, version := range c.Streams {
		h, err := s.streamHead(ctx, b.Log, stream)
		if err != nil {
			return err
		}
		if h.Version != version {
			return conflict(&fault.Error{Kind: fault.Conflict, Msg: "the object was changed meanwhile"})
		}
	}
	if len(c.Query) == 0 {
		return nil
	}
	for _, e := range b.entries {
		if e.rec.Position > c.After && c.Query.Matches(e.rec.Type, e.terms) {
			return between(e.rec)
		}
	}
	if c.After >= s.head.Size {
		return nil
	}
	for r, err := range s.log.ReadTo(ctx, c.Query, c.After, s.head.Size) {
		if err != nil {
			return err
		}
		return between(r)
	}
	return nil
}

func between(r *event.Record) error {
	return conflict(&fault.Error{Kind: fault.Conflict, Msg: "somebody changed the same facts meanwhile", Err: &Between{r.Position, r.Type}})
}

func conflict(err error) error { return &verdict{err} }

// checkEvents refuses ids that are stored already and keys that are not alive,
// and returns what becomes of keys.
func (s *sequencer) checkEvents(ctx context.Context, b *batch, events []*event.Draft) ([]KeyUse, error) {
	var uses []KeyUse
	for i, d := range events {
		if b.ids[d.ID] || slices.ContainsFunc(events[:i], func(e *event.Draft) bool { return e.ID == d.ID }) {
			return nil, &verdict{ErrEventExists}
		}
		if _, ok, err := s.log.store.EventPosition(ctx, b.Log, d.ID); err != nil {
			return nil, err
		} else if ok {
			return nil, &verdict{ErrEventExists}
		}
		for _, block := range d.Blocks {
			use, fresh, err := s.keyFor(ctx, b, uses, block)
			if err != nil {
				return nil, err
			}
			if fresh {
				uses = append(uses, use)
			}
		}
		if erased, ok := erasure(d); ok {
			use, _, err := s.subjectKey(ctx, b.Log, erased)
			if err != nil {
				return nil, err
			}
			uses = append(uses, KeyUse{Subject: erased, Key: use.Key, Erased: true})
		}
	}
	return uses, nil
}

// keyFor checks that a block's key is its subject's one live key, or may
// become so.
func (s *sequencer) keyFor(ctx context.Context, b *batch, uses []KeyUse, block event.Block) (use KeyUse, fresh bool, err error) {
	use, known := KeyUse{}, false
	for _, u := range uses {
		if u.Subject == block.Subject {
			use, known = u, true
		}
	}
	if !known {
		if use, known, err = s.subjectKey(ctx, b.Log, block.Subject); err != nil {
			return use, false, err
		}
	}
	switch {
	case known && use.Erased:
		return use, false, &verdict{ErrSubjectErased}
	case known && use.Key != block.Key:
		return use, false, &verdict{ErrKeyTaken}
	case known:
		return use, false, nil
	}
	owner, ok, err := s.log.store.Key(ctx, b.Log, block.Key)
	if err != nil {
		return use, false, err
	}
	taken := ok && owner.Subject != block.Subject
	for _, u := range append(b.Keys, uses...) {
		taken = taken || u.Key == block.Key && u.Subject != block.Subject
	}
	if taken {
		return use, false, &verdict{ErrKeyTaken}
	}
	return KeyUse{Subject: block.Subject, Key: block.Key}, true, nil
}

func (s *sequencer) subjectKey(ctx context.Context, log event.LogID, subject event.SubjectID) (KeyUse, bool, error) {
	if use, ok := s.keys[subject]; ok {
		return use, true, nil
	}
	use, ok, err := s.log.store.Subject(ctx, log, subject)
	if ok {
		s.keys[subject] = use
	}
	return use, ok, err
}

func (s *sequencer) streamHead(ctx context.Context, log event.LogID, stream event.Stream) (StreamHead, error) {
	if h, ok := s.streams[stream]; ok {
		return h, nil
	}
	h, _, err := s.log.store.Stream(ctx, log, stream)
	if err == nil {
		s.streams[stream] = h
	}
	return h, err
}

// erasure returns the subject whose keys an event destroys.
func erasure(d *event.Draft) (event.SubjectID, bool) {
	if d.Type != "subject.erased" {
		return event.SubjectID{}, false
	}
	var p struct {
		Subject event.SubjectID `cbor:"1,keyasint"`
		Keys    []event.KeyID   `cbor:"2,keyasint,omitempty"`
	}
	if event.Strict.Unmarshal(d.Public, &p) != nil {
		return event.SubjectID{}, false
	}
	return p.Subject, true
}

// plan places a request's events without touching the sequencer's memory, so
// that a refusal leaves no trace.
func (s *sequencer) plan(ctx context.Context, b *batch, events []*event.Draft) ([]entry, error) {
	plan := make([]entry, 0, len(events))
	last := b.Next
	heads := map[event.Stream]StreamHead{}
	for _, d := range events {
		h, ok := heads[d.Stream]
		if !ok {
			var err error
			if h, err = s.streamHead(ctx, b.Log, d.Stream); err != nil {
				return nil, err
			}
		}
		at := event.Place{Log: b.Log, Position: last.Size + 1, Version: h.Version + 1, Time: b.now, Prev: last.Last, PrevStream: h.Hash}
		leaf := d.AppendLeaf(make([]byte, 0, 512), at)
		if len(leaf) > event.MaxLeaf {
			return nil, &verdict{fault.New(fault.Exhausted, "the event is %d bytes long; the limit is %d", len(leaf), event.MaxLeaf)}
		}
		rec := d.Record(at, leaf)
		last.Size, last.Last = at.Position, event.LeafHash(leaf)
		heads[d.Stream] = StreamHead{Version: at.Version, Hash: last.Last}
		plan = append(plan, entry{rec, d.Terms()})
	}
	return plan, nil
}

// place adds planned events to the batch and to the sequencer's memory.
func (s *sequencer) place(b *batch, plan []entry, keys []KeyUse) {
	for _, e := range plan {
		h := e.rec.Hash()
		b.Tiles = append(b.Tiles, s.tree.add(h)...)
		b.Records = append(b.Records, e.rec)
		b.Terms = append(b.Terms, e.terms)
		b.ids[e.rec.ID] = true
		s.streams[e.rec.Stream] = StreamHead{Version: e.rec.Version, Hash: h}
		b.Next.Size, b.Next.Last, b.Next.Time = e.rec.Position, h, e.rec.Time
	}
	b.entries = append(b.entries, plan...)
	for _, u := range keys {
		s.keys[u.Subject] = u
		b.Keys = append(b.Keys, u)
	}
}
