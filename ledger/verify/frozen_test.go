package verify

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// frozenRoot is the root of the golden log's first five records. The format was
// frozen with them: they may be joined by others, and never change.
const frozenRoot = "3bb4aca1a713b5419fcc8d8e8d7f3e980c37193679dfebc689eee9ce83e11e2b"

func TestFormatIsFrozen(t *testing.T) {
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Records) < 5 {
		t.Fatalf("the golden log has only %d records", len(g.Records))
	}
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, x := range at {
			out[i] = hashes[x]
		}
		return out, nil
	})
	for i, r := range g.Records[:5] {
		leaf, err := hex.DecodeString(r.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(5, read)
	if err != nil || hex.EncodeToString(root[:]) != frozenRoot {
		t.Fatalf("the first five records of the golden log are others: root %x (%v)", root, err)
	}
}
