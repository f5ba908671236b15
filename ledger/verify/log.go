package verify

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Entry is one record as the store holds it. Its memory may be used again for
// the next entry.
type Entry struct {
	Position uint64
	Leaf     []byte
	// Ciphertexts are parallel to the leaf's blocks; nil means missing.
	Ciphertexts [][]byte
	// Tags and Blind are the public and the blind tags under which the store's
	// index finds the record, in any order. They count if Options.Tags and
	// Options.Blind are set.
	Tags  []string
	Blind []BlindTag
}

// Source is the log to be verified. An error from it stops the verification.
type Source interface {
	// Entries yields the records from a position on, in order.
	Entries(ctx context.Context, from uint64) iter.Seq2[Entry, error]
	// Checkpoints yields every stored signed checkpoint, by size.
	Checkpoints(ctx context.Context) iter.Seq2[[]byte, error]
}

// Options say what a log is held against. The zero value holds it only against itself.
type Options struct {
	Key        string         // the log's note verifier key, from outside
	Checkpoint []byte         // a signed checkpoint, kept outside
	Register   *Head          // the newest tree head, kept apart from the log
	Open       Opener         // the subjects' keys, to recompute commitments
	Tags       bool           // entries say what public tags the index holds: compare them
	Blind      bool           // entries say what blind tags the index holds: compare them
	EventIDs   bool           // also check that no event id occurs twice (about 40 bytes per record)
	Progress   func(Progress) // called every few thousand records, and at the end
}

// progressEvery is how many records pass between two calls of Options.Progress.
const progressEvery = 4096

// Log verifies a whole log in one pass. Its findings are in the report; an error
// means that the verification could not be done or finished (bad options, an
// unreadable source, a cancelled context), and the report, if any, is Incomplete.
func Log(ctx context.Context, src Source, opt Options) (*Report, error) {
	start := time.Now()
	v, err := newRun(ctx, src, opt)
	if err != nil {
		return nil, err
	}
	defer v.marks.stop()
	v.report.Verdict = Incomplete
	tell := func() {
		v.report.Elapsed = Duration(time.Since(start))
		if opt.Progress != nil {
			opt.Progress(Progress{v.report.Size, len(v.report.Findings), time.Since(start)})
		}
	}
	for e, err := range src.Entries(ctx, 1) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = v.entry(ctx, &e)
		}
		if err != nil {
			return v.report, fmt.Errorf("verify: after record %d: %w", v.report.Size, err)
		}
		if v.report.Records%progressEvery == 0 {
			tell()
		}
	}
	if err := v.finish(ctx); err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	tell()
	return v.report, nil
}

// run is one verification.
type run struct {
	opt     Options
	key     *verifierKey
	report  *Report
	src     Source
	marks   *marks
	gens    *generations
	chain   *chain
	streams *streams
	lives   *lives
	opener  *opener // nil without keys

	leaf   Leaf // of the record at hand; its memory is used again
	hash   hasher
	time   int64 // of the record before
	events map[ID]struct{}
}

func newRun(ctx context.Context, src Source, opt Options) (*run, error) {
	v := &run{opt: opt, src: src, report: new(Report)}
	if opt.Key != "" {
		var err error
		if v.key, err = parseKey(opt.Key); err != nil {
			return nil, err
		}
	}
	outside, err := v.outside()
	if err != nil {
		return nil, err
	}
	if opt.EventIDs {
		v.events = make(map[ID]struct{})
	}
	if opt.Open != nil {
		v.opener = newOpener(opt.Open)
	}
	v.streams = newStreams(v.report)
	v.lives = newLives(v.report)
	v.marks = newMarks(ctx, src, v.key, v.report)
	if v.key != nil {
		v.marks.adopt(v.key.log)
	}
	for _, x := range outside {
		v.marks.adopt(x.log)
		v.marks.add(x)
	}
	v.marks.advance()
	v.gens = &generations{r: v.report, key: v.key, marks: v.marks}
	v.chain = &chain{r: v.report, marks: v.marks, gens: v.gens}
	return v, nil
}

// outside reads what the caller holds. A checkpoint that does not carry the
// key's signature is the caller's mistake, not the log's.
func (v *run) outside() (list []mark, err error) {
	if len(v.opt.Checkpoint) > 0 {
		cp, err := v.key.open(v.opt.Checkpoint)
		if err != nil {
			return nil, fmt.Errorf("verify: the checkpoint to hold the log against: %w", err)
		}
		list = append(list, mark{log: cp.LogID, size: cp.Size, root: cp.Root, name: "checkpoint from outside",
			note: string(v.opt.Checkpoint), signed: v.key != nil})
	}
	if h := v.opt.Register; h != nil {
		list = append(list, mark{log: h.LogID, size: h.Size, root: h.Root, name: "register"})
	}
	return list, nil
}

// entry verifies one record. The error is the opener's, if any.
func (v *run) entry(ctx context.Context, e *Entry) error {
	r := v.report
	l := &v.leaf
	bad := l.parse(e.Leaf)
	pos := v.place(e, bad == nil)
	if pos == 0 {
		return nil
	}
	r.Size = pos
	r.Records++
	if bad == nil {
		first := len(v.gens.list) == 0
		v.gens.add(l, pos)
		if first && !v.chain.started && !v.chain.lost {
			v.chain.compare() // checkpoints of the empty log
		}
	}
	s := slot{pos: pos, hash: v.hash.sum(leafPrefix, e.Leaf), prev: l.Prev, bad: bad != nil}
	v.chain.add(s)
	if bad != nil {
		r.add(Finding{Code: LeafMalformed, Position: pos, Msg: bad.(*Error).Msg, Evidence: evidence("hash of the record", s.hash.String())})
		return nil
	}
	v.header(l, s)
	v.index(pos, e, l)
	return v.blocks(ctx, pos, e, l)
}

// place returns the position at which an entry continues the log, or 0 if it
// does not. A leaf that knows its place is believed rather than the store.
func (v *run) place(e *Entry, parsed bool) uint64 {
	r, want := v.report, v.report.Size+1
	switch {
	case e.Position == want:
		return want
	case parsed && v.leaf.Position == want:
		r.add(Finding{Code: PositionWrong, Position: want, Msg: fmt.Sprintf("record %d is stored as record %d", want, e.Position)})
		return want
	case e.Position < want || e.Position > MaxPosition:
		r.add(Finding{Code: PositionWrong, Position: want, Msg: fmt.Sprintf("record %d is followed by record %d", r.Size, e.Position)})
		return 0
	}
	v.chain.gap(want, e.Position-1)
	return e.Position
}

// header checks the keys 1 to 12 against what came before.
func (v *run) header(l *Leaf, s slot) {
	r := v.report
	if l.Position != s.pos {
		r.add(Finding{Code: PositionWrong, Position: s.pos,
			Msg: fmt.Sprintf("record %d says that it is record %d", s.pos, l.Position)})
	}
	suspect := v.chain.suspect()
	if l.Time < v.time && r.Records > 1 && suspect+1 < s.pos {
		r.add(Finding{Code: TimeBack, Position: s.pos,
			Msg: fmt.Sprintf("record %d is %v earlier than the record before", s.pos, time.Duration(v.time-l.Time)*time.Microsecond)})
	}
	v.time = l.Time
	v.streams.add(l, s, suspect)
	if v.events != nil {
		if _, seen := v.events[l.EventID]; seen {
			r.add(Finding{Code: EventRepeated, Position: s.pos,
				Msg: fmt.Sprintf("record %d has event id %s, which an earlier record has", s.pos, l.EventID)})
		}
		v.events[l.EventID] = struct{}{}
	}
}

// index compares the index's public tags with the leaf's.
func (v *run) index(pos uint64, e *Entry, l *Leaf) {
	if !v.opt.Tags {
		return
	}
	tags := e.Tags
	if !slices.IsSorted(tags) {
		tags = slices.Sorted(slices.Values(tags))
	}
	if !slices.Equal(tags, l.Tags) {
		v.report.add(Finding{Code: TagsIndex, Position: pos,
			Msg: fmt.Sprintf("the index finds record %d under the tags %q, the leaf has %q", pos, tags, l.Tags)})
	}
}

// blocks checks what is sealed, then what is erased.
func (v *run) blocks(ctx context.Context, pos uint64, e *Entry, l *Leaf) error {
	r := v.report
	if len(e.Ciphertexts) > len(l.Blocks) {
		r.add(Finding{Code: CiphertextExtra, Position: pos,
			Msg: fmt.Sprintf("record %d has %d ciphertexts for %d sealed blocks", pos, len(e.Ciphertexts), len(l.Blocks))})
	}
	blind := v.blind(pos, e, l)
	for i := range l.Blocks {
		b := &l.Blocks[i]
		var ciphertext []byte
		if i < len(e.Ciphertexts) {
			ciphertext = e.Ciphertexts[i]
		}
		r.Sealed++
		life := v.lives.use(pos, b)
		life.sealed.count(pos, ciphertext != nil)
		if blind != nil {
			countBlind(life, pos, b, blind)
		}
		if ciphertext == nil {
			continue
		}
		if got := v.hash.sum(nil, ciphertext); got != b.Digest {
			r.add(Finding{Code: CiphertextDigest, Position: pos,
				Msg:      fmt.Sprintf("the ciphertext of subject %s in record %d was altered", b.Subject, pos),
				Evidence: evidence("digest of the ciphertext", got.String(), "digest in the leaf", b.Digest.String())})
			continue
		}
		if v.opener != nil {
			if err := v.open(ctx, pos, life, l, b, ciphertext, blind[b.Subject]); err != nil {
				return err
			}
		}
	}
	if l.Erasure != nil {
		v.lives.erase(pos, l.Erasure)
	}
	return nil
}

// finish settles what only the end of the log can tell.
func (v *run) finish(ctx context.Context) error {
	r := v.report
	r.Root = v.chain.finish()
	v.identify()
	r.Streams = v.streams.count()
	v.lives.finish()
	short := 0
	v.marks.beyond(r.Size, func(m mark) {
		if !v.gens.fits(m) {
			return
		}
		if short++; short > 1 && m.ordinal != 0 {
			r.Suppressed++
			return
		}
		r.add(Finding{Code: Rollback, Position: r.Size + 1, First: r.Size + 1, Last: m.size, Checkpoint: m.ordinal,
			Msg:      fmt.Sprintf("the log ends at record %d, the %s has %d", r.Size, m.name, m.size),
			Evidence: evidence("root of the records", rootText(r.Root), "root in the "+m.name, m.root.String(), "checkpoint", m.note)})
	})
	if v.marks.err != nil {
		return fmt.Errorf("stored checkpoints: %w", v.marks.err)
	}
	if v.opener != nil {
		if err := v.pendingKeys(ctx); err != nil {
			return err
		}
	}
	if err := v.gens.settle(ctx, v.src); err != nil {
		return fmt.Errorf("the records again: %w", err)
	}
	r.FirstBad = r.firstBad()
	switch {
	case len(r.Findings) > 0:
		r.Verdict = Failed
	case v.key != nil && r.Signed > 0:
		r.Verdict = Verified
	default:
		r.Verdict = Consistent
	}
	return nil
}

// identify says which log it was, at the end. An empty one is called by what it
// is held against.
func (v *run) identify() {
	g := v.gens
	if len(g.list) == 0 {
		g.list = []Generation{{LogID: v.marks.log, First: 1}}
		v.chain.compare() // checkpoints of the empty log
	}
	v.report.LogID = g.list[0].LogID
	if len(g.list) > 1 {
		v.report.Generations = g.list
	}
	if v.key != nil && !slices.ContainsFunc(g.list, func(x Generation) bool { return x.LogID == v.key.log }) {
		v.report.add(Finding{Code: LogOther, Position: 1,
			Msg: fmt.Sprintf("the records are of log %s, the key is for log %s", v.report.LogID, v.key.log), Evidence: evidence("key", v.key.Name())})
	}
}

func rootText(h tlog.Hash) string {
	if h == (tlog.Hash{}) {
		return ""
	}
	return h.String()
}
