package eventlog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// batch is a Batch under construction or on its way to the disk, with those
// who wait for it.
type batch struct {
	Batch
	entries []entry // of Records
	members []member
	ids     map[event.ID]struct{}
	keys    map[event.KeyID]event.SubjectID
	done    map[outcomeKey]int // index into Outcomes
	now     time.Time
	bytes   int // of leaves and ciphertexts
	began   []Generation

	launched time.Time // on its way to the disk
}

// member is an append that is answered when the batch is durable. It may have
// been refused, or be a repetition: that answer may rest on what is not
// durable yet, so it waits too.
type member struct {
	w      *waiter
	res    Appended
	err    error
	writes bool // events of its own are in the batch
}

type outcomeKey struct {
	actor   event.Actor
	command event.ID
}

// begin starts a batch behind what was built before.
func (s *sequencer) begin() (*batch, error) {
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	return &batch{Batch: Batch{Log: s.log.id, Prev: s.head, Next: s.head}, now: now,
		ids: map[event.ID]struct{}{}, keys: map[event.KeyID]event.SubjectID{}, done: map[outcomeKey]int{}}, nil
}

// pending lists the batches that are not durable, oldest first.
func (s *sequencer) pending() []*batch {
	out := append(make([]*batch, 0, 4), s.peer.unpublished()...)
	if s.flying != nil {
		out = append(out, s.flying)
	}
	if s.next != nil {
		out = append(out, s.next)
	}
	return out
}

// add checks one request and, if it holds, places its events in the batch that
// is being built. An error that is not a verdict is about the log itself; in
// either case nothing was changed.
func (s *sequencer) add(ctx context.Context, r *Request, events []prepared) (Appended, error) {
	b := s.next
	if res, ok, err := s.repeated(ctx, r); ok || err != nil {
		return res, err
	}
	if err := s.meet(ctx, events); err != nil {
		return Appended{}, err
	}
	if err := s.holds(ctx, r.If); err != nil {
		return Appended{}, err
	}
	if err := s.checkIDs(ctx, events); err != nil {
		return Appended{}, err
	}
	if err := s.checkContinued(r, events); err != nil {
		return Appended{}, err
	}
	keys, err := s.checkKeys(ctx, events)
	if err != nil {
		return Appended{}, err
	}
	generation := cmp.Or(r.Generation, s.generation)
	plan, err := s.plan(ctx, b, generation, events)
	if err != nil {
		return Appended{}, err
	}
	s.place(b, plan, keys)
	if generation != s.generation {
		s.generation = generation
		b.began = append(b.began, Generation{generation, b.Next.Size})
	}
	res := Appended{Log: generation, First: b.Next.Size - event.Position(len(plan)) + 1, Last: b.Next.Size, Time: b.now}
	b.done[outcomeKey{r.Actor, r.Command}] = len(b.Outcomes)
	b.Outcomes = append(b.Outcomes, Outcome{Actor: r.Actor, Command: r.Command, Digest: r.Digest, First: res.First, Last: res.Last})
	return res, nil
}

// repeated finds an earlier run of the same command.
func (s *sequencer) repeated(ctx context.Context, r *Request) (Appended, bool, error) {
	for _, b := range s.pending() {
		i, ok := b.done[outcomeKey{r.Actor, r.Command}]
		if !ok {
			continue
		}
		o := b.Outcomes[i]
		if o.Digest != r.Digest {
			return Appended{}, true, &verdict{ErrCommandReused}
		}
		return Appended{Log: s.generationOf(o.First), First: o.First, Last: o.Last, Time: b.now, Replayed: true}, true, nil
	}
	o, ok, err := s.log.store.Outcome(ctx, s.log.id, r.Actor, r.Command)
	if err != nil || !ok {
		return Appended{}, false, err
	}
	if o.Digest != r.Digest {
		return Appended{}, true, &verdict{ErrCommandReused}
	}
	res, err := s.log.replayed(ctx, o)
	if fault.Is(err, fault.Unknown) {
		err = &verdict{err}
	}
	return res, true, err
}

// holds checks a condition against the log and the batches behind it.
func (s *sequencer) holds(ctx context.Context, c event.Condition) error {
	for stream, version := range c.Streams {
		h, err := s.streamHead(ctx, stream)
		if err != nil {
			return err
		}
		if h.Version != version {
			return &verdict{ErrVersion}
		}
	}
	if len(c.Query) == 0 {
		return nil
	}
	mark := s.log.Mark().Size
	if c.After > s.stored() {
		return &verdict{fault.New(fault.Invalid, "the condition names position %d, which is past the end of the log; read the facts again", c.After)}
	}
	if s.lately.rulesOut(c.Query, c.After) {
		return nil
	}
	for r, err := range s.log.ReadTo(ctx, c.Query, c.After, mark) {
		if err != nil {
			return err
		}
		return between(r)
	}
	for _, b := range s.pending() {
		for _, e := range b.entries {
			if e.rec.Position > c.After && c.Query.Matches(e.rec.Type, e.terms) {
				return between(e.rec)
			}
		}
	}
	return nil
}

// stored is the end of what is durable: another node may have read up to there
// when this one does not know yet that it was published.
func (s *sequencer) stored() event.Position {
	if landed := s.peer.unpublished(); len(landed) > 0 {
		return landed[len(landed)-1].Next.Size
	}
	return s.log.Mark().Size
}

func between(r *event.Record) error {
	return &verdict{&fault.Error{Kind: fault.Conflict, Msg: "somebody changed the same facts meanwhile", Err: &Between{r.Position, r.Type}}}
}

// checkIDs refuses event ids that stand in the log already.
func (s *sequencer) checkIDs(ctx context.Context, events []prepared) error {
	for i, d := range events {
		if slices.ContainsFunc(events[:i], func(e prepared) bool { return e.ID == d.ID }) {
			return &verdict{ErrEventExists}
		}
		for _, b := range s.pending() {
			if _, ok := b.ids[d.ID]; ok {
				return &verdict{ErrEventExists}
			}
		}
		if _, ok, err := s.log.store.EventPosition(ctx, s.log.id, d.ID); err != nil {
			return err
		} else if ok {
			return &verdict{ErrEventExists}
		}
	}
	return nil
}

func (s *sequencer) streamHead(ctx context.Context, stream event.Stream) (StreamHead, error) {
	if h, ok := s.streams.get(stream); ok {
		return h, nil
	}
	h, _, err := s.log.store.Stream(ctx, s.log.id, stream)
	if err == nil {
		s.streams.put(stream, h)
	}
	return h, err
}

// meet looks up together the streams of a request that are not known yet, if the
// store can; else each is looked up when it is needed.
func (s *sequencer) meet(ctx context.Context, events []prepared) error {
	many, ok := s.log.store.(Many)
	if !ok || len(events) < 2 {
		return nil
	}
	var unknown []event.Stream
	for _, d := range events {
		if _, ok := s.streams.get(d.Stream); !ok {
			unknown = append(unknown, d.Stream)
		}
	}
	found, err := many.FindStreams(ctx, s.log.id, unknown)
	if err != nil {
		return err
	}
	for _, stream := range unknown {
		s.streams.put(stream, found[stream].Head)
	}
	return nil
}

// plan places a request's events without touching the sequencer's memory, so
// that a refusal leaves no trace.
func (s *sequencer) plan(ctx context.Context, b *batch, generation event.LogID, events []prepared) ([]entry, error) {
	plan := make([]entry, 0, len(events))
	size, last := b.Next.Size, b.Next.Last
	for i, d := range events {
		h, err := s.headWithin(ctx, plan, d.Stream)
		if err != nil {
			return nil, err
		}
		at := event.Place{Log: generation, Position: size + event.Position(i) + 1, Version: h.Version + 1, Time: b.now, Prev: last, PrevStream: h.Hash}
		// The zero byte in front is the prefix of the leaf hash (RFC 6962 §2.1).
		hashed := d.AppendLeaf([]byte{0}, at)
		leaf := hashed[1:len(hashed):len(hashed)]
		if len(leaf) > event.MaxLeaf {
			return nil, &verdict{fault.Lasting(fault.New(fault.Exhausted, "the event is %d bytes long; the limit is %d", len(leaf), event.MaxLeaf))}
		}
		last = sha256.Sum256(hashed)
		plan = append(plan, entry{rec: d.Record(at, leaf), terms: d.terms, hash: last})
	}
	return plan, nil
}

// headWithin is the head of a stream behind the events planned so far.
func (s *sequencer) headWithin(ctx context.Context, plan []entry, stream event.Stream) (StreamHead, error) {
	for _, e := range slices.Backward(plan) {
		if e.rec.Stream == stream {
			return StreamHead{Version: e.rec.Version, Hash: e.hash}, nil
		}
	}
	return s.streamHead(ctx, stream)
}

// place adds planned events to the batch and to the sequencer's memory.
func (s *sequencer) place(b *batch, plan []entry, keys []KeyUse) {
	for _, e := range plan {
		b.Tiles = append(b.Tiles, s.tree.add(e.hash)...)
		b.Records = append(b.Records, e.rec)
		b.Terms = append(b.Terms, e.terms)
		b.Hashes = append(b.Hashes, e.hash)
		b.ids[e.rec.ID] = struct{}{}
		b.bytes += recordSize(e.rec)
		s.streams.put(e.rec.Stream, StreamHead{Version: e.rec.Version, Hash: e.hash})
		s.lately.add(e.rec.Position, e.terms)
		b.Next.Size, b.Next.Last, b.Next.Time = e.rec.Position, e.hash, e.rec.Time
	}
	b.entries = append(b.entries, plan...)
	for _, u := range keys {
		s.subjects.put(u.Subject, u)
		if !u.Key.IsZero() {
			b.keys[u.Key] = u.Subject
		}
		b.Keys = append(b.Keys, u)
	}
}

func recordSize(r *event.Record) int {
	n := len(r.Leaf)
	for _, c := range r.Ciphertexts {
		n += len(c)
	}
	return n
}
