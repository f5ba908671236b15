package verify

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// twice is a log of 5 records whose third begins a second generation, with a
// checkpoint of the first (size 2) and one of the second (size 5). lost is a
// checkpoint of the first generation of size 4, of records that were lost; key
// is the first's.
func twice(t *testing.T, name func(b *builder, lost []byte) []byte) (b *builder, first ID, lost []byte, key string) {
	t.Helper()
	b = newBuilder("twice")
	first, key = b.id, b.vkey
	ada := newPerson("ada")
	b.add(event{Stream: stream("user", "ada"), Type: "user.registered", Seal: []sealed{{person: ada, Fields: map[string]any{"/email": "ada@example.org"}}}})
	b.add(event{Stream: stream("user", "ada"), Type: "user.noted"})
	b.checkpoint()
	lost = b.sign(4, tlog.Hash{4})
	b.begin("twice again", first, name(b, lost))
	b.add(event{Stream: stream("user", "ada"), Type: "user.email.changed", Seal: []sealed{{person: ada, Fields: map[string]any{"/email": "countess@example.org"}}}})
	b.add(event{Stream: stream("user", "ada"), Type: "user.noted"})
	b.checkpoint()
	return b, first, lost, key
}

func namesLost(_ *builder, lost []byte) []byte { return lost }

// A log of two generations is one tree: it verifies with the key of either, the
// report says where which begins and what it admits, and what is sealed opens.
func TestGenerations(t *testing.T) {
	b, first, _, key := twice(t, namesLost)
	for _, k := range []string{key, b.vkey} {
		r := verifyLog(t, b.source(), Options{Key: k, Open: &people{list: []person{newPerson("ada")}}})
		if r.Verdict != Verified || r.Signed != 5 || r.Checkpoints != 2 || r.Opened != 2 || r.LogID != first {
			t.Fatal(describe(r))
		}
		if g := r.Generations; len(g) != 2 || g[1].First != 3 || g[1].LogID != b.id || g[1].Lost != 2 || g[1].Continues.LogID != first {
			t.Errorf("generations %+v", g)
		}
		if want := "admits that records 3 to 4 of the one before were lost"; !strings.Contains(r.Summary(), want) {
			t.Errorf("summary %q does not say %q", r.Summary(), want)
		}
	}
}

// Whoever holds a checkpoint of records that were lost is told which, and
// whether the log admits it.
func TestGenerationsLost(t *testing.T) {
	for want, name := range map[string]func(*builder, []byte) []byte{
		"as record 3 admits":                namesLost,
		"which nothing in the log admits":   func(*builder, []byte) []byte { return nil },
		"of which record 3 admits those up": func(b *builder, _ []byte) []byte { return b.sign(3, tlog.Hash{3}) },
	} {
		b, first, lost, key := twice(t, name)
		r := verifyLog(t, b.source(), Options{Key: key, Checkpoint: lost})
		if r.Verdict != Failed || len(r.Findings) != 1 || r.Findings[0].Code != Rollback || r.Findings[0].First != 3 || r.Findings[0].Last != 4 || !strings.Contains(r.Findings[0].Msg, want) {
			t.Errorf("%s: %s", want, describe(r))
		}
		if r := verifyLog(t, b.source(), Options{Key: key, Register: &Head{first, 9, tlog.Hash{9}}}); r.Verdict != Failed || r.Findings[0].Code != Rollback || r.Findings[0].Last != 9 {
			t.Errorf("a register of the first generation: %s", describe(r))
		}
		if r := verifyLog(t, b.source(), Options{Key: key, Checkpoint: b.notes[0]}); r.Verdict != Verified {
			t.Errorf("a checkpoint before what was lost: %s", describe(r))
		}
	}
}

// A continuation may name a checkpoint of the records before it, stored or not:
// it must agree with them.
func TestGenerationsNamesEarlier(t *testing.T) {
	for size := uint64(0); size <= 2; size++ {
		b, _, _, key := twice(t, func(b *builder, _ []byte) []byte { return b.sign(size, b.root(size)) })
		if r := verifyLog(t, b.source(), Options{Key: key}); r.Verdict != Verified || r.Generations[1].Lost != 0 {
			t.Errorf("size %d: %s", size, describe(r))
		}
		b, _, _, key = twice(t, func(b *builder, _ []byte) []byte { return b.sign(size, tlog.Hash{1}) })
		if r := verifyLog(t, b.source(), Options{Key: key}); r.Verdict != Failed || r.Findings[0].Code != Fork || r.FirstBad != 3 {
			t.Errorf("size %d, another root: %s", size, describe(r))
		}
	}
}

// What no writer does: each is found, at the record that is to blame.
func TestGenerationsTampered(t *testing.T) {
	note := stream("user", "ada")
	for name, tc := range map[string]struct {
		build func() *builder
		code  Code
		at    uint64
	}{
		"continues another log": {func() *builder {
			b := newBuilder("tampered")
			b.add(event{Stream: note, Type: "user.noted"})
			b.begin("next", named("log other"), nil)
			return b
		}, LogOther, 2},
		"the id changes without a continuation": {func() *builder {
			b := newBuilder("tampered")
			b.add(event{Stream: note, Type: "user.noted"})
			b.add(event{Stream: note, Type: "user.noted"})
			b.id = named("log next")
			b.add(event{Stream: note, Type: "user.noted"})
			return b
		}, LogOther, 3},
		"the id goes back": {func() *builder {
			b := newBuilder("tampered")
			first := b.id
			b.add(event{Stream: note, Type: "user.noted"})
			b.begin("next", first, nil)
			b.begin("tampered", b.id, nil)
			return b
		}, LogOther, 3},
		"a record of the old id behind the continuation": {func() *builder {
			b := newBuilder("tampered")
			first := b.id
			b.add(event{Stream: note, Type: "user.noted"})
			b.begin("next", first, nil)
			b.id = first
			b.add(event{Stream: note, Type: "user.noted"})
			return b
		}, LogOther, 3},
		"names a checkpoint that another key signed": {func() *builder {
			b := newBuilder("tampered")
			first, own := b.id, b.seed
			b.add(event{Stream: note, Type: "user.noted"})
			b.seed[0]++
			b.useKey()
			forged := b.sign(7, tlog.Hash{7})
			b.seed = own
			b.begin("next", first, forged)
			return b
		}, CheckpointSignature, 2},
		"a checkpoint of the old id behind its end": {func() *builder {
			b := newBuilder("tampered")
			first := b.id
			b.add(event{Stream: note, Type: "user.noted"})
			b.begin("next", first, nil)
			late := *b
			late.id = first
			late.useKey()
			b.notes = append(b.notes, late.sign(2, b.root(2)))
			return b
		}, Rollback, 0},
		"a checkpoint of the new id before its beginning": {func() *builder {
			b := newBuilder("tampered")
			first := b.id
			b.add(event{Stream: note, Type: "user.noted"})
			b.begin("next", first, nil)
			b.notes = append(b.notes, b.sign(1, b.root(1)))
			return b
		}, CheckpointOther, 0},
	} {
		b := tc.build()
		own := newBuilder("tampered")
		r := verifyLog(t, b.source(), Options{Key: own.vkey})
		if r.Verdict != Failed || len(r.Findings) == 0 || r.Findings[0].Code != tc.code || r.FirstBad != tc.at {
			t.Errorf("%s: %s", name, describe(r))
		}
	}
}
