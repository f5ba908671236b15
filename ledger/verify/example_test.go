package verify_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"os"

	"muniment.dev/ledger/verify"
)

// file is what these examples need of the golden file.
type file struct {
	VerifierKey string `json:"verifier_key"`
	Records     []struct {
		Position uint64 `json:"position"`
		Leaf     string `json:"leaf"`
		Blocks   []struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"blocks"`
	} `json:"records"`
	Notes []struct {
		Note string `json:"note"`
	} `json:"checkpoints"`
	Receipts []json.RawMessage `json:"receipts"`
}

func open() *file {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		panic(err)
	}
	f := new(file)
	if err := json.Unmarshal(data, f); err != nil {
		panic(err)
	}
	return f
}

// Entries makes the file a verify.Source.
func (f *file) Entries(_ context.Context, from uint64) iter.Seq2[verify.Entry, error] {
	return func(yield func(verify.Entry, error) bool) {
		for _, r := range f.Records {
			e := verify.Entry{Position: r.Position}
			var err error
			if e.Leaf, err = hex.DecodeString(r.Leaf); err != nil {
				yield(e, err)
				return
			}
			for _, b := range r.Blocks {
				c, err := hex.DecodeString(b.Ciphertext)
				if err != nil {
					yield(e, err)
					return
				}
				e.Ciphertexts = append(e.Ciphertexts, c)
			}
			if e.Position >= from && !yield(e, nil) {
				return
			}
		}
	}
}

func (f *file) Checkpoints(context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, c := range f.Notes {
			if !yield([]byte(c.Note), nil) {
				return
			}
		}
	}
}

func ExampleLog() {
	f := open()
	r, err := verify.Log(context.Background(), f, verify.Options{Key: f.VerifierKey})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Summary())
	fmt.Println("sealed blocks:", r.Sealed, "pending erasure:", r.Pending)

	f.Records[1].Leaf = f.Records[1].Leaf[:len(f.Records[1].Leaf)-1] + "5" // one digit of record 2
	r, err = verify.Log(context.Background(), f, verify.Options{Key: f.VerifierKey})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Summary())
	for _, found := range r.Findings {
		fmt.Println(found.String())
	}
	// Output:
	// verified: log da4af61ad9c7da1271b47a2fb80fe88a, records 1 to 5
	// sealed blocks: 4 pending erasure: 3
	// failed: 1 findings, first bad record 2 of 5
	// leaf.altered (record 2): record 2 is not the one that record 3 names
}

func ExampleReceipt() {
	f := open()
	r, err := verify.Receipt(f.Receipts[0], f.VerifierKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict, r.Leaf.Type, r.Leaf.At())
	for _, d := range r.Disclosed {
		fmt.Printf("%s: %s\n", d.Path, d.Value[1:]) // a short CBOR text is its length, then its bytes
	}
	// Output:
	// verified user.registered 2026-01-01 00:00:00.000123 +0000 UTC
	// /email: Ada@Example.org
}
