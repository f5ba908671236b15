package verify

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// What an operator or a broken disk can do to a log, and what is said of it.
func TestLogDamage(t *testing.T) {
	ada, bob := newPerson("ada"), newPerson("bob")
	sealedFor := func(p person) []sealed { return []sealed{{p, map[string]any{"/x": "y"}, nil}} }
	for _, tc := range []struct {
		name string
		do   func(b *builder, src *memSource, opt *Options)
		code Code
		pos  uint64
	}{
		{"a record is missing", func(b *builder, s *memSource, _ *Options) { s.entries = slices.Delete(s.entries, 6, 7) }, PositionGap, 7},
		{"three records are missing", func(b *builder, s *memSource, _ *Options) { s.entries = slices.Delete(s.entries, 5, 8) }, PositionGap, 6},
		{"the first records are missing", func(b *builder, s *memSource, _ *Options) { s.entries = s.entries[2:] }, PositionGap, 1},
		{"a record comes twice", func(b *builder, s *memSource, _ *Options) { s.entries = slices.Insert(s.entries, 4, s.entries[3]) }, PositionWrong, 5},
		{"a record is stored under another position", func(b *builder, s *memSource, _ *Options) { s.entries[4].Position = 1 << 40 }, PositionWrong, 5},
		{"two records changed places", func(b *builder, s *memSource, _ *Options) {
			s.entries[5], s.entries[6] = s.entries[6], s.entries[5]
			s.entries[5].Position, s.entries[6].Position = 6, 7
		}, PositionWrong, 6},
		{"the end is missing", func(b *builder, s *memSource, _ *Options) { s.entries = s.entries[:10] }, Rollback, 11},
		{"end and checkpoints are missing, a checkpoint is held", func(b *builder, s *memSource, o *Options) {
			o.Checkpoint = s.notes[4]
			s.entries, s.notes = s.entries[:9], s.notes[:3]
		}, Rollback, 10},
		{"end and checkpoints are missing, a register is kept", func(b *builder, s *memSource, o *Options) {
			o.Register = &Head{b.id, 12, b.root(12)}
			s.entries, s.notes = s.entries[:9], s.notes[:3]
		}, Rollback, 10},
		{"a ciphertext is missing", func(b *builder, s *memSource, _ *Options) { s.entries[2].Ciphertexts[0] = nil }, CiphertextLost, 3},
		{"all ciphertexts of a record are missing", func(b *builder, s *memSource, _ *Options) { s.entries[10].Ciphertexts = nil }, CiphertextLost, 11},
		{"a ciphertext is empty", func(b *builder, s *memSource, _ *Options) { s.entries[2].Ciphertexts[0] = []byte{} }, CiphertextDigest, 3},
		{"a ciphertext too many", func(b *builder, s *memSource, _ *Options) { s.entries[0].Ciphertexts = [][]byte{{1}} }, CiphertextExtra, 1},
		{"ciphertexts of two records changed places", func(b *builder, s *memSource, _ *Options) {
			s.entries[2].Ciphertexts, s.entries[10].Ciphertexts = s.entries[10].Ciphertexts[:1], append(s.entries[2].Ciphertexts, s.entries[10].Ciphertexts[1])
		}, CiphertextDigest, 3},
		{"a blind tag is missing", func(b *builder, s *memSource, _ *Options) { s.entries[2].Blind = []BlindTag{} }, TagsIndex, 3},
		{"a blind tag that the leaf does not commit to", func(b *builder, s *memSource, _ *Options) {
			s.entries[5].Blind = []BlindTag{blindTag(bob, "email", 0, "x")}
		}, TagsIndex, 6},
		{"time goes back", func(b *builder, s *memSource, _ *Options) {
			b.add(event{Stream: stream("org", "acme"), Type: "org.renamed", Time: 5})
		}, TimeBack, 13},
		{"a key used after its erasure", func(b *builder, s *memSource, _ *Options) {
			b.add(event{Stream: stream("user", "ada"), Type: "user.renamed", Seal: sealedFor(ada)})
		}, KeyAfter, 13},
		{"a fresh key for an erased subject", func(b *builder, s *memSource, _ *Options) {
			p := ada
			p.Key = named("another key")
			b.add(event{Stream: stream("user", "ada"), Type: "user.renamed", Seal: sealedFor(p)})
		}, KeyAfter, 13},
		{"a second key for a subject", func(b *builder, s *memSource, _ *Options) {
			p := bob
			p.Key = named("another key")
			b.add(event{Stream: stream("user", "bob"), Type: "user.renamed", Seal: sealedFor(p)})
		}, KeySecond, 13},
		{"one key for two subjects", func(b *builder, s *memSource, _ *Options) {
			p := newPerson("eve")
			p.Key = bob.Key
			b.add(event{Stream: stream("user", "eve"), Type: "user.registered", Seal: sealedFor(p)})
		}, KeyShared, 13},
		{"an erasure lists another subject's key", func(b *builder, s *memSource, _ *Options) {
			p := newPerson("eve")
			p.Key = bob.Key
			b.add(erasureOf(p))
		}, KeyShared, 13},
		{"an erasure does not list the key in use", func(b *builder, s *memSource, _ *Options) {
			p := bob
			p.Key = named("another key")
			b.add(erasureOf(p))
		}, ErasureIncomplete, 13},
		{"an event id comes twice", func(b *builder, s *memSource, o *Options) {
			o.EventIDs = true
			leaf, e := b.leafMap(event{Stream: stream("org", "acme"), Type: "org.renamed"})
			id := named(fmt.Sprintf("event %s %d", b.id, 3))
			leaf[4] = id[:]
			e.Leaf = encode(leaf)
			b.append(stream("org", "acme"), e)
		}, EventRepeated, 13},
		{"a stream skips a version", func(b *builder, s *memSource, _ *Options) {
			b.version[stream("org", "acme")]++
			b.add(event{Stream: stream("org", "acme"), Type: "org.renamed"})
		}, StreamBroken, 13},
		{"a stream names another record", func(b *builder, s *memSource, _ *Options) {
			b.heads[stream("org", "acme")] = tlog.Hash{1}
			b.add(event{Stream: stream("org", "acme"), Type: "org.renamed"})
		}, StreamBroken, 13},
		{"a record names another predecessor, signed", func(b *builder, s *memSource, _ *Options) {
			leaf, e := b.leafMap(event{Stream: stream("org", "acme"), Type: "org.renamed"})
			leaf[11] = bytes.Repeat([]byte{7}, 32)
			e.Leaf = encode(leaf)
			b.append(stream("org", "acme"), e)
		}, ChainBroken, 13},
		{"a record of another log", func(b *builder, s *memSource, _ *Options) {
			leaf, e := b.leafMap(event{Stream: stream("org", "acme"), Type: "org.renamed"})
			leaf[2] = bytes.Repeat([]byte{7}, 16)
			e.Leaf = encode(leaf)
			b.append(stream("org", "acme"), e)
		}, LogOther, 13},
		{"a malformed record, signed", func(b *builder, s *memSource, _ *Options) {
			leaf, e := b.leafMap(event{Stream: stream("org", "acme"), Type: "org.renamed"})
			leaf[17] = "new"
			e.Leaf = encode(leaf)
			b.append(stream("org", "acme"), e)
		}, LeafMalformed, 13},
		{"a checkpoint of another log", func(b *builder, s *memSource, _ *Options) {
			s.notes[1] = newBuilder("other").checkpoint()
		}, CheckpointOther, 0},
		{"a checkpoint out of order", func(b *builder, s *memSource, _ *Options) { s.notes[1], s.notes[2] = s.notes[2], s.notes[1] }, CheckpointOrder, 0},
		{"two checkpoints of one size", func(b *builder, s *memSource, _ *Options) {
			s.notes = slices.Insert(s.notes, 1, b.sign(3, tlog.Hash{1}))
		}, Fork, 0},
		{"a checkpoint of another history", func(b *builder, s *memSource, _ *Options) { s.notes[1] = b.sign(5, tlog.Hash{1}) }, Fork, 0},
		{"a checkpoint of another log, without a key", func(b *builder, s *memSource, o *Options) {
			o.Key = ""
			s.notes[1] = newBuilder("other").sign(5, b.root(5))
		}, CheckpointOther, 0},
		{"all tags of a record are hidden", func(b *builder, s *memSource, _ *Options) { s.entries[1].Tags = nil }, TagsIndex, 2},
		{"all blind tags of a record are hidden", func(b *builder, s *memSource, _ *Options) { s.entries[2].Blind = nil }, TagsIndex, 3},
		{"the held checkpoint is of another log", func(b *builder, s *memSource, o *Options) {
			o.Register = &Head{named("other"), 3, b.root(3)}
		}, CheckpointOther, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, _ := sampleLog()
			src, opt := b.source().clone(), Options{Key: b.vkey, Tags: true, Blind: true}
			tc.do(b, src, &opt)
			if b.size() > 12 { // the case added to the log
				b.add(event{Stream: stream("org", "zeta"), Type: "org.created"})
				b.checkpoint()
				src = b.source()
			}
			r := verifyLog(t, src, opt)
			if r.Verdict != Failed || !has(r, tc.code, tc.pos) || r.FirstBad != tc.pos {
				t.Error(describe(r))
			}
		})
	}
}

// Damage is reported once: what only follows from it is not, and what cannot be
// known after it is not guessed.
func TestLogDamageAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(s *memSource)
		want []Code
	}{
		"a record missing": {func(s *memSource) { s.entries = slices.Delete(s.entries, 6, 7) }, []Code{PositionGap}},
		"records missing":  {func(s *memSource) { s.entries = slices.Delete(s.entries, 5, 8) }, []Code{PositionGap}},
		"one malformed":    {func(s *memSource) { s.entries[3].Leaf[0] = 0 }, []Code{LeafMalformed}},
		"two malformed":    {func(s *memSource) { s.entries[3].Leaf[0], s.entries[4].Leaf[0] = 0, 0 }, []Code{LeafMalformed, LeafMalformed}},
		"last malformed":   {func(s *memSource) { s.entries[11].Leaf[0] = 0 }, []Code{LeafMalformed, TreeRoot}},
		"two apart":        {func(s *memSource) { s.entries[3].Leaf[0], s.entries[9].Leaf[0] = 0, 0 }, []Code{LeafMalformed, LeafMalformed}},
		"an event id":      {func(s *memSource) { flip(s.entries[4].Leaf, 8*24+40) }, []Code{LeafAltered}},
		"last event id":    {func(s *memSource) { flip(s.entries[11].Leaf, 8*24+40) }, []Code{TreeRoot}},
	} {
		b, _ := sampleLog()
		src := b.source().clone()
		tc.do(src)
		r := verifyLog(t, src, Options{Key: b.vkey, Tags: true, Blind: true})
		var got []Code
		for _, f := range r.Findings {
			got = append(got, f.Code)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %s", name, describe(r))
		}
	}
}
