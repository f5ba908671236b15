package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A sound log verifies with its key, and only with it is it called verified.
func TestLogSound(t *testing.T) {
	b, persons := sampleLog()
	key := &people{list: persons, erased: map[ID]bool{persons[0].Subject: true}}
	last := b.notes[len(b.notes)-1]
	reg := &Head{b.id, 12, b.root(12)}
	for _, tc := range []struct {
		name string
		opt  Options
		want Verdict
	}{
		{"alone", Options{}, Consistent},
		{"register", Options{Register: reg}, Consistent},
		{"checkpoint without key", Options{Checkpoint: last}, Consistent},
		{"key", Options{Key: b.vkey}, Verified},
		{"everything", Options{Key: b.vkey, Checkpoint: b.notes[0], Register: reg, Open: key, Tags: true, Blind: true, EventIDs: true}, Verified},
	} {
		r := verifyLog(t, b.source(), tc.opt)
		if r.Verdict != tc.want || r.Size != 12 || r.Root != b.root(12) || r.LogID != b.id || r.FirstBad != 0 {
			t.Errorf("%s: %s", tc.name, describe(r))
		}
		if want := map[bool]uint64{true: 12}[tc.opt.Key != ""]; r.Signed != want {
			t.Errorf("%s: signed up to %d", tc.name, r.Signed)
		}
		// Ada has blocks in records 2, 4 and 5; four blocks belong to others.
		if r.Streams != 6 || r.Checkpoints != 5 || r.Sealed != 7 || r.Erased != 3 || r.Pending != 0 {
			t.Errorf("%s: counts %+v", tc.name, r)
		}
		if tc.opt.Open != nil && (r.Opened != 4 || r.Commitments != 5) {
			t.Errorf("%s: opened %d blocks, %d commitments", tc.name, r.Opened, r.Commitments)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Records after the last checkpoint are consistent, not verified, and the report says so.
func TestLogUnsignedTail(t *testing.T) {
	b, _ := sampleLog()
	b.add(event{Stream: stream("org", "acme"), Type: "org.renamed"})
	r := verifyLog(t, b.source(), Options{Key: b.vkey})
	if r.Verdict != Verified || r.Signed != 12 || r.Size != 13 || !strings.Contains(r.Summary(), "last 1 are not under a signed checkpoint") {
		t.Error(describe(r))
	}
	b.notes = nil
	if r := verifyLog(t, b.source(), Options{Key: b.vkey}); r.Verdict != Consistent {
		t.Errorf("a key without any checkpoint: %s", describe(r))
	}
}

func TestLogEmpty(t *testing.T) {
	b := newBuilder("empty")
	b.checkpoint()
	r := verifyLog(t, b.source(), Options{Key: b.vkey})
	if r.Verdict != Consistent || r.Size != 0 || r.Checkpoints != 1 {
		t.Error(describe(r))
	}
	b.notes[0] = b.sign(0, tlog.Hash{1})
	if r := verifyLog(t, b.source(), Options{Key: b.vkey}); r.Verdict != Failed {
		t.Error(describe(r))
	}
}

// Every bit of every leaf, changed: a finding names the record, and it comes first.
func TestLogEveryBitOfLeaves(t *testing.T) {
	b, _ := sampleLog()
	for _, dense := range []bool{true, false} {
		src := b.source().clone()
		if dense { // a checkpoint at every size
			src.notes = nil
			for n := range b.size() {
				src.notes = append(src.notes, b.sign(n+1, b.root(n+1)))
			}
		}
		for i := range src.entries {
			for k := range len(src.entries[i].Leaf) * 8 {
				flip(src.entries[i].Leaf, k)
				r := verifyLog(t, src, Options{})
				flip(src.entries[i].Leaf, k)
				pos := uint64(i + 1)
				// The last record has no successor: the checkpoint alone tells, as a range.
				inRange := !dense && pos == b.size() && r.FirstBad == 11 && names(r, func(f *Finding) bool { return f.First <= pos && pos <= f.Last })
				if r.Verdict != Failed || r.FirstBad != pos && !inRange {
					t.Fatalf("dense %v, record %d, bit %d: %s", dense, pos, k, describe(r))
				}
				// What is intact is not accused: only cascades of a subject's or
				// stream's identity may follow, and the last root still agrees.
				if pos < b.size() && r.Agreed != b.size() {
					t.Fatalf("dense %v, record %d, bit %d: the rest is not confirmed: %s", dense, pos, k, describe(r))
				}
			}
		}
	}
}

// Every bit of every ciphertext, changed: the record is named.
func TestLogEveryBitOfCiphertexts(t *testing.T) {
	b, _ := sampleLog()
	src := b.source().clone()
	for i := range src.entries {
		for _, c := range src.entries[i].Ciphertexts {
			for k := range len(c) * 8 {
				flip(c, k)
				r := verifyLog(t, src, Options{})
				flip(c, k)
				if r.Verdict != Failed || r.FirstBad != uint64(i+1) || r.Findings[0].Code != CiphertextDigest {
					t.Fatalf("record %d, bit %d: %s", i+1, k, describe(r))
				}
			}
		}
	}
}

// Every bit of every stored checkpoint, changed: the checkpoint is named, no record is.
func TestLogEveryBitOfCheckpoints(t *testing.T) {
	b, _ := sampleLog()
	src := b.source().clone()
	for i, n := range src.notes {
		for k := range len(n) * 8 {
			flip(n, k)
			r := verifyLog(t, src, Options{Key: b.vkey})
			flip(n, k)
			if r.Verdict != Failed || r.FirstBad != 0 || len(r.Findings) != 1 || r.Findings[0].Checkpoint != uint64(i+1) {
				t.Fatalf("checkpoint %d, bit %d: %s", i+1, k, describe(r))
			}
		}
	}
}

// Every bit of every tag and blind tag of the index, changed.
func TestLogEveryBitOfTags(t *testing.T) {
	b, persons := sampleLog()
	keys := &people{list: persons, erased: map[ID]bool{persons[0].Subject: true}}
	src := b.source().clone()
	check := func(pos int, what string) {
		r := verifyLog(t, src, Options{Open: keys, Tags: true, Blind: true})
		if r.Verdict != Failed || r.FirstBad != uint64(pos) {
			t.Fatalf("record %d, %s: %s", pos, what, describe(r))
		}
	}
	for i := range src.entries {
		e := &src.entries[i]
		for j, tag := range e.Tags {
			for k := range len(tag) * 8 {
				x := []byte(tag)
				flip(x, k)
				e.Tags[j] = string(x)
				check(i+1, tag)
			}
			e.Tags[j] = tag
		}
		for j := range e.Blind {
			for k := range 256 {
				flip(e.Blind[j].Value[:], k)
				check(i+1, "blind tag")
				flip(e.Blind[j].Value[:], k)
			}
		}
		if len(e.Tags) > 0 {
			all := e.Tags
			e.Tags = e.Tags[1:]
			check(i+1, "tag hidden")
			e.Tags = append(slices.Clone(all), "user:x")
			check(i+1, "tag added")
			e.Tags = all
		}
	}
}

func flip(b []byte, bit int) { b[bit/8] ^= 1 << (bit % 8) }

func names(r *Report, f func(*Finding) bool) bool {
	for i := range r.Findings {
		if f(&r.Findings[i]) {
			return true
		}
	}
	return false
}

func has(r *Report, code Code, pos uint64) bool {
	return names(r, func(f *Finding) bool { return f.Code == code && f.Position == pos })
}

// A log rewritten from one record on, chained and signed anew, is found out by
// whoever holds an earlier checkpoint, or a register; with nothing from outside
// but the key it is not, and the documents say so.
func TestLogRewritten(t *testing.T) {
	honest, _ := sampleLog()
	forged := newBuilder("sample")
	for i := range 12 {
		forged.add(event{Stream: stream("org", "acme"), Type: "org.renamed", Public: map[string]any{"n": i}})
		if i%3 == 2 {
			forged.checkpoint()
		}
	}
	if r := verifyLog(t, forged.source(), Options{Key: honest.vkey}); r.Verdict != Verified {
		t.Fatalf("a forger with the key convinces whoever holds nothing else: %s", describe(r))
	}
	for _, opt := range []Options{
		{Key: honest.vkey, Checkpoint: honest.notes[2]},
		{Checkpoint: honest.notes[2]},
		{Register: &Head{honest.id, 12, honest.root(12)}},
	} {
		r := verifyLog(t, forged.source(), opt)
		if r.Verdict != Failed || !has(r, Fork, 1) || r.Findings[0].Evidence == nil {
			t.Error(describe(r))
		}
	}
}

// A tampered record is told apart from a tampered link, also without checkpoints,
// and between sparse ones the range is given.
func TestLogRangeAndEvidence(t *testing.T) {
	b := newBuilder("range")
	for i := range 40 {
		b.add(event{Stream: stream("org", fmt.Sprint(i%7)), Type: "org.renamed", Public: map[string]any{"n": i}})
		if i == 9 || i == 29 || i == 39 {
			b.checkpoint()
		}
	}
	// The stored root is changed: no record is at fault, the range is bounded.
	src := b.source().clone()
	src.notes[1] = b.sign(30, tlog.Hash{9})
	src.notes = src.notes[:2]
	r := verifyLog(t, src, Options{Key: b.vkey})
	f := r.Findings[0]
	if f.Code != TreeRoot || f.First != 11 || f.Last != 30 || r.Agreed != 10 || len(f.Evidence) != 4 {
		t.Errorf("%s %+v", describe(r), f)
	}
	// A record that is re-chained up to the end of a checkpoint's range is only in a range.
	src = b.source().clone()
	src.notes = nil
	flip(src.entries[19].Leaf, len(src.entries[19].Leaf)*8-1)
	if r := verifyLog(t, src, Options{}); r.FirstBad != 20 {
		t.Error(describe(r))
	}
}

// A pending erasure is not a fault, and is told from a complete one.
func TestLogPending(t *testing.T) {
	b, persons := sampleLog()
	bob := persons[1]
	b.add(erasureOf(bob)) // recorded; nothing deleted yet
	b.checkpoint()
	keys := &people{list: persons, erased: map[ID]bool{persons[0].Subject: true}}
	r := verifyLog(t, b.source(), Options{Key: b.vkey, Tags: true, Blind: true})
	// Two ciphertexts and one blind tag.
	if r.Verdict != Verified || r.Erased != 3 || r.Pending != 3 {
		t.Errorf("pending %d, erased %d: %s", r.Pending, r.Erased, describe(r))
	}
	// With the key store, the key that is still there counts too.
	if r := verifyLog(t, b.source(), Options{Key: b.vkey, Open: keys, Tags: true, Blind: true}); r.Verdict != Verified || r.Pending != 4 {
		t.Errorf("pending %d: %s", r.Pending, describe(r))
	}
	keys.erased[bob.Subject] = true
	for i := range b.entries {
		b.forget(i, bob.Subject)
	}
	if r := verifyLog(t, b.source(), Options{Key: b.vkey, Open: keys, Tags: true, Blind: true}); r.Verdict != Verified || r.Erased != 5 || r.Pending != 0 {
		t.Errorf("pending %d, erased %d: %s", r.Pending, r.Erased, describe(r))
	}
}

// An erasing record may itself hold a block of the subject it erases.
func TestLogErasureOfActor(t *testing.T) {
	b, persons := sampleLog()
	ev := erasureOf(persons[1])
	ev.Seal = []sealed{{persons[1], map[string]any{"/address": "192.0.2.9"}, nil}}
	b.add(ev)
	b.checkpoint()
	if r := verifyLog(t, b.source(), Options{Key: b.vkey}); r.Verdict != Verified {
		t.Error(describe(r))
	}
}

// With keys: a ciphertext and digest that agree but do not hold what was committed.
func TestLogWithKeys(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *written, p *person)
		code Code
	}{
		{"wrong key", func(w *written, p *person) { p.Secret = bytes.Repeat([]byte{1}, 32) }, SealOpen},
		{"key never seen", func(w *written, p *person) { p.Key = named("x") }, KeyLost},
		{"commitment to another value", func(w *written, p *person) { w.commitments["/a"][0] ^= 1 }, CommitmentDiffer},
		{"commitment without value", func(w *written, p *person) { w.block[4] = append(w.block[4].([]any), []any{"/c", make([]byte, 32)}) }, CommitmentDiffer},
		{"value without commitment", func(w *written, p *person) { w.block[4] = w.block[4].([]any)[:1] }, CommitmentDiffer},
	} {
		b := newBuilder("keys")
		p := newPerson("ada")
		leaf, e := b.leafMap(event{Stream: stream("user", "ada"), Type: "user.registered", Seal: []sealed{{p, map[string]any{"/a": 1, "/b": true}, nil}}})
		w := sealBlock(b.id, ID(leaf[4].([]byte)), "user.registered", 1, sealed{p, map[string]any{"/a": 1, "/b": true}, nil})
		tc.do(w, &p)
		leaf[16] = []any{w.block}
		e.Leaf = encode(leaf)
		b.append("", e)
		r := verifyLog(t, b.source(), Options{Open: &people{list: []person{p}}})
		if r.Verdict != Failed || !has(r, tc.code, 1) {
			t.Errorf("%s: %s", tc.name, describe(r))
		}
		if r := verifyLog(t, b.source(), Options{}); r.Verdict != Consistent {
			t.Errorf("%s, without keys: %s", tc.name, describe(r))
		}
	}
}

// A flood of findings is bounded, and the first bad position stays right.
func TestLogBounded(t *testing.T) {
	b := newBuilder("flood")
	for range 2000 {
		b.add(event{Stream: stream("org", "acme"), Type: "org.renamed"})
	}
	src := b.source().clone()
	for i := range src.entries {
		if i > 500 {
			flip(src.entries[i].Leaf, 3)
		}
	}
	r := verifyLog(t, src, Options{})
	if r.Verdict != Failed || r.FirstBad != 502 || len(r.Findings) > maxFindings || r.Suppressed < 1000 {
		t.Errorf("%d findings, %d suppressed, first bad %d", len(r.Findings), r.Suppressed, r.FirstBad)
	}
}

// failing yields an error after some entries, as an unreadable disk does.
type failing struct {
	*memSource
	after int
	note  bool
}

var errDisk = errors.New("unreadable")

func (f *failing) Entries(ctx context.Context, from uint64) iter.Seq2[Entry, error] {
	if f.note {
		return f.memSource.Entries(ctx, from)
	}
	return func(yield func(Entry, error) bool) {
		for _, e := range f.entries[:f.after] {
			if !yield(e, nil) {
				return
			}
		}
		yield(Entry{}, errDisk)
	}
}

func (f *failing) Checkpoints(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if f.note {
			yield(nil, errDisk)
		}
	}
}

// What cannot be read is neither good nor bad.
func TestLogUnreadable(t *testing.T) {
	b, _ := sampleLog()
	for _, src := range []Source{&failing{b.source(), 5, false}, &failing{b.source(), 0, true}} {
		r, err := Log(t.Context(), src, Options{Key: b.vkey})
		if !errors.Is(err, errDisk) || r == nil || r.Verdict != Incomplete {
			t.Errorf("%v, %+v", err, r)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Log(ctx, b.source(), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The caller's own mistakes are errors, not findings.
func TestLogBadOptions(t *testing.T) {
	b, _ := sampleLog()
	other := newBuilder("other")
	for _, opt := range []Options{
		{Key: "x"},
		{Key: "log.example+00000000+AAAA"},
		{Checkpoint: []byte("x")},
		{Key: b.vkey, Checkpoint: other.checkpoint()},
		{Key: b.vkey, Checkpoint: bytes.Replace(b.notes[0], []byte("\n3\n"), []byte("\n4\n"), 1)},
	} {
		r, err := Log(t.Context(), b.source(), opt)
		var e *Error
		if r != nil || !errors.As(err, &e) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

func TestLogProgress(t *testing.T) {
	b, _ := sampleLog()
	var last Progress
	verifyLog(t, b.source(), Options{Progress: func(p Progress) { last = p }})
	if last.Position != 12 {
		t.Errorf("%+v", last)
	}
}
