package eventlog

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Lister is what an engine offers, beside Store, so that all of a log can be
// copied to another engine: what it keeps that does not follow from the
// records. yield returns false for no more.
type Lister interface {
	Outcomes(ctx context.Context, log event.LogID, yield func(Outcome) bool) error
	Cursors(ctx context.Context, log event.LogID, yield func(name string, value []byte) bool) error
}

// Source is all of a log, up to an end, as something other than a server's
// store may hold it.
type Source interface {
	// Head is the end; its term, holder and frontier may be zero.
	Head() Head
	// Records yields the records from a position on, in order.
	Records(ctx context.Context, from event.Position) iter.Seq2[*event.Record, error]
	// Outcomes yields those of the commands that appended from a position on, by
	// the last record of each.
	Outcomes(ctx context.Context, from event.Position) iter.Seq2[Outcome, error]
	// Checkpoints yields those of at least a size, by size.
	Checkpoints(ctx context.Context, from event.Position) iter.Seq2[Checkpoint, error]
	// Cursors yields the positions of durable subscribers.
	Cursors(ctx context.Context) iter.Seq2[Cursor, error]
}

// Cursor is how far a durable subscriber came.
type Cursor struct {
	Name  string
	Value []byte
}

// CopyProgress is how far a copy has come.
type CopyProgress struct{ Done, Of event.Position }

// copied is how much one commit of a copy holds at most.
const (
	copiedRecords = 1024
	copiedBytes   = 4 << 20
)

// Copy makes a log in dst out of a source: the same positions, leaves, tree,
// outcomes of commands, assignment of keys, checkpoints and cursors. One that
// was interrupted at any point goes on where dst ends. It refuses a dst in which
// the log begins otherwise or is longer. When it returns without an error, dst
// holds the tree that the source's head states, made anew from its records.
//
// Nobody may append to either meanwhile; dst is taken under a new term.
func Copy(ctx context.Context, dst Store, log event.LogID, src Source, progress func(CopyProgress)) error {
	c := &copying{dst: dst, log: log, src: src, end: src.Head(), keys: map[event.SubjectID]KeyUse{}, progress: progress}
	for _, step := range []func(context.Context) error{c.begin, c.records, c.rest} {
		if err := step(ctx); err != nil {
			return fault.Wrap("copy the log", err)
		}
	}
	return nil
}

// copying is a copy under way.
type copying struct {
	dst      Store
	log      event.LogID
	src      Source
	end      Head // of the source
	head     Head // of dst
	tree     *tree
	keys     map[event.SubjectID]KeyUse // as of head
	progress func(CopyProgress)
}

// begin takes the log in dst and sees that it is a beginning of the source.
func (c *copying) begin(ctx context.Context) (err error) {
	if c.head, err = c.dst.Take(ctx, c.log, event.NewID(), c.end.Term); err != nil {
		return err
	}
	if c.head.Size > c.end.Size {
		return fault.New(fault.Conflict, "the target holds %d records of this log, the source has %d: it is not older than what is to be copied", c.head.Size, c.end.Size)
	}
	if c.tree, err = loadTree(ctx, c.dst, c.log, c.head); err != nil || c.head.Size == 0 {
		return err
	}
	for r, err := range c.src.Records(ctx, c.head.Size) {
		if err != nil {
			return err
		}
		// A leaf hash names all before it, by the chain. A source may begin behind.
		same := r.Position == c.head.Size && r.Hash() == c.head.Last || r.Position == c.head.Size+1 && r.Prev == c.head.Last
		if !same {
			return fault.New(fault.Conflict, "the target holds another log under this id: its record %d is not the one of the source; nothing was copied", c.head.Size)
		}
		break
	}
	l, ok := c.dst.(interface {
		Subjects(ctx context.Context, log event.LogID, yield func(KeyUse) bool) error
	})
	if !ok {
		return fault.New(fault.Internal, "the target cannot list whose keys it knows")
	}
	return l.Subjects(ctx, c.log, func(u KeyUse) bool { c.keys[u.Subject] = u; return true })
}

// records copies the records that dst lacks, and the outcomes with them.
func (c *copying) records(ctx context.Context) error {
	next, stop := iter.Pull2(c.src.Outcomes(ctx, c.head.Size+1))
	defer stop()
	outcome, err, more := next()
	b, size := c.batch(), 0
	if c.head.Size < c.end.Size {
		for r, err := range c.src.Records(ctx, c.head.Size+1) {
			if err != nil {
				return err
			}
			if err := c.add(b, r); err != nil {
				return err
			}
			size += recordSize(r)
			if len(b.Records) < copiedRecords && size < copiedBytes && r.Position < c.end.Size {
				continue
			}
			for ; more && err == nil && outcome.Last <= r.Position; outcome, err, more = next() {
				b.Outcomes = append(b.Outcomes, outcome)
			}
			if err != nil {
				return err
			}
			if err := c.commit(ctx, b); err != nil {
				return err
			}
			if b, size = c.batch(), 0; r.Position == c.end.Size {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if c.head.Size != c.end.Size || c.head.Last != c.end.Last {
		return fault.New(fault.Corrupt, "the source ends with record %d, not with the one that it said: it is damaged, or it was written to", c.head.Size)
	}
	if len(c.end.Frontier) > 0 && c.head.Root() != c.end.Root() {
		return fault.New(fault.Corrupt, "the records of the source do not give the tree that it states; run verify on it")
	}
	return nil
}

func (c *copying) batch() *Batch { return &Batch{Log: c.log, Prev: c.head, Next: c.head} }

// add places a record in a batch as it is, if it continues what is there.
func (c *copying) add(b *Batch, r *event.Record) error {
	hash := r.Hash()
	if r.Position != b.Next.Size+1 || r.Prev != b.Next.Last {
		return fault.New(fault.Corrupt, "record %d of the source does not continue record %d", r.Position, b.Next.Size)
	}
	uses, err := c.uses(r)
	if err != nil {
		return err
	}
	b.Records, b.Terms, b.Hashes = append(b.Records, r), append(b.Terms, r.Terms()), append(b.Hashes, hash)
	b.Tiles, b.Keys = append(b.Tiles, c.tree.add(hash)...), append(b.Keys, uses...)
	b.Next.Size, b.Next.Last, b.Next.Time = r.Position, hash, r.Time
	return nil
}

// uses is what becomes of keys by a record, as the sequencer noted it.
func (c *copying) uses(r *event.Record) (uses []KeyUse, err error) {
	put := func(u KeyUse) {
		c.keys[u.Subject] = u
		uses = append(uses, u)
	}
	for _, b := range r.Blocks {
		if _, known := c.keys[b.Subject]; !known {
			put(KeyUse{Subject: b.Subject, Key: b.Key})
		}
	}
	if r.Type != typeErased {
		return uses, nil
	}
	var e erasure
	if err := event.Strict.Unmarshal(r.Public, &e); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Msg: "an erasure in the source is malformed; run verify on it", Err: err}
	}
	own := c.keys[e.Subject].Key
	for _, k := range e.Keys {
		put(KeyUse{Subject: e.Subject, Key: k, Erased: true})
	}
	put(KeyUse{Subject: e.Subject, Key: own, Erased: true})
	return uses, nil
}

func (c *copying) commit(ctx context.Context, b *Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.Next.Frontier = slices.Clone(c.tree.frontier)
	if err := c.dst.Commit(ctx, b); err != nil {
		return err
	}
	c.head = b.Next
	if c.progress != nil {
		c.progress(CopyProgress{c.head.Size, c.end.Size})
	}
	return nil
}

// together is how many checkpoints are put at once: each is a commit of its own.
const together = 32

// rest copies what is not part of the tree. Repeating it is harmless.
func (c *copying) rest(ctx context.Context) error {
	have := event.Position(0)
	for p, err := range c.dst.Checkpoints(ctx, c.log, 0) {
		if err != nil {
			return err
		}
		have = p.Size
	}
	if err := c.checkpoints(ctx, have-min(have, 4096)); err != nil { // those put at once may have gaps
		return err
	}
	for cur, err := range c.src.Cursors(ctx) {
		if err == nil {
			err = c.dst.PutCursor(ctx, c.log, cur.Name, cur.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) checkpoints(ctx context.Context, from event.Position) error {
	var mu sync.Mutex
	var failed error
	var putting sync.WaitGroup
	defer putting.Wait()
	slots := make(chan struct{}, together)
	for p, err := range c.src.Checkpoints(ctx, from) {
		if err != nil {
			return err
		}
		if p.Size > c.end.Size {
			return fault.New(fault.Corrupt, "the source holds a checkpoint of %d records and has %d", p.Size, c.end.Size)
		}
		slots <- struct{}{}
		putting.Go(func() {
			defer func() { <-slots }()
			if err := c.dst.PutCheckpoint(ctx, c.log, p.Size, p.Note); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = cmp.Or(failed, err)
			}
		})
	}
	putting.Wait()
	return failed
}

// storeSource is a log in a store.
type storeSource struct {
	store Store
	list  Lister
	log   event.LogID
	head  Head
}

// SourceOf is all of a log in a store, up to its end as it is now, which nobody
// may move meanwhile. It keeps about 100 bytes in memory for each command.
func SourceOf(ctx context.Context, s Store, log event.LogID) (Source, error) {
	list, ok := s.(Lister)
	if !ok {
		return nil, fault.New(fault.Internal, "this store cannot list all that it keeps")
	}
	h, err := s.Head(ctx, log)
	return &storeSource{s, list, log, h}, fault.Wrap("read the log's head", err)
}

// SourceUpTo is SourceOf up to a position, behind which others may append.
func SourceUpTo(ctx context.Context, s Store, log event.LogID, size event.Position) (Source, error) {
	src, err := SourceOf(ctx, s, log)
	if err != nil {
		return nil, err
	}
	h := &src.(*storeSource).head
	if size >= h.Size {
		return src, nil
	}
	h.Size, h.Last, h.Frontier = size, event.Hash{}, nil
	if h.Frontier, err = FrontierAt(ctx, s, log, size); err != nil {
		return nil, err
	}
	for r, err := range s.Records(ctx, log, max(size, 1), size) {
		if err != nil {
			return nil, err
		}
		h.Last, h.Time = r.Hash(), r.Time
	}
	return src, nil
}

// Head implements Source.
func (s *storeSource) Head() Head { return s.head }

// Records implements Source.
func (s *storeSource) Records(ctx context.Context, from event.Position) iter.Seq2[*event.Record, error] {
	return s.store.Records(ctx, s.log, from, s.head.Size)
}

// Outcomes implements Source.
func (s *storeSource) Outcomes(ctx context.Context, from event.Position) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		var all []Outcome
		err := s.list.Outcomes(ctx, s.log, func(o Outcome) bool {
			if o.Last >= from && o.Last <= s.head.Size {
				all = append(all, o)
			}
			return true
		})
		if err != nil {
			yield(Outcome{}, err)
			return
		}
		slices.SortFunc(all, func(a, b Outcome) int {
			return cmp.Or(cmp.Compare(a.Last, b.Last), slices.Compare(a.Command[:], b.Command[:]))
		})
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Checkpoints implements Source.
func (s *storeSource) Checkpoints(ctx context.Context, from event.Position) iter.Seq2[Checkpoint, error] {
	return func(yield func(Checkpoint, error) bool) {
		for c, err := range s.store.Checkpoints(ctx, s.log, from) {
			if err == nil && c.Size > s.head.Size {
				return
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// Cursors implements Source.
func (s *storeSource) Cursors(ctx context.Context) iter.Seq2[Cursor, error] {
	return func(yield func(Cursor, error) bool) {
		stopped := false
		err := s.list.Cursors(ctx, s.log, func(name string, value []byte) bool {
			stopped = !yield(Cursor{name, value}, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Cursor{}, err)
		}
	}
}
