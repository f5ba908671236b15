package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger/verify"
)

// Disclosure opens one sealed field in a receipt: whoever has it can check that
// the record commits to exactly this value, and learns nothing of the others.
type Disclosure struct {
	Subject event.SubjectID `json:"subject"`
	Path    string          `json:"path"`  // RFC 6901 pointer
	Value   []byte          `json:"value"` // deterministic CBOR
	Salt    []byte          `json:"salt"`  // 32 bytes
}

// receiptFile is docs/record-format.md, "Receipt".
type receiptFile struct {
	Format    string       `json:"format"`
	Leaf      []byte       `json:"leaf"`
	Proof     string       `json:"proof"`
	Continued []link       `json:"continued,omitempty"`
	Disclosed []Disclosure `json:"disclosed,omitempty"`
}

// link is a record with which a generation began, and its inclusion proof.
type link struct {
	Leaf  []byte      `json:"leaf"`
	Proof []tlog.Hash `json:"proof"`
}

// Receipt returns the receipt file of the record at a position: all that a
// stranger needs, together with the log's verifier key, to check offline that
// the record is in the log that the checkpoint stands for.
func (p *Prover) Receipt(ctx context.Context, at event.Position, c Checkpoint, disclosed ...Disclosure) ([]byte, error) {
	proof, leaf, err := p.Inclusion(ctx, at, c.Tree)
	if err != nil {
		return nil, fault.Wrap("make a receipt", err)
	}
	f := receiptFile{Format: "muniment.dev/receipt/v1", Disclosed: disclosed}
	log := c.Log
	for r, err := range p.store.Records(ctx, p.log, at, at) {
		if err != nil {
			return nil, fault.Wrap("make a receipt", err)
		}
		f.Leaf, log = r.Leaf, r.Log
	}
	if event.LeafHash(f.Leaf) != leaf {
		return nil, fault.New(fault.Corrupt, "the record at position %d is not the one in the tree; run verify", at)
	}
	if log != c.Log {
		if f.Continued, err = p.continued(ctx, at, c); err != nil {
			return nil, fault.Wrap("make a receipt", err)
		}
	}
	// C2SP tlog-proof: header, index, hashes, blank line, checkpoint.
	var text strings.Builder
	text.WriteString("c2sp.org/tlog-proof@v1\nindex " + strconv.FormatUint(uint64(at)-1, 10) + "\n")
	for _, h := range proof {
		text.WriteString(h.String() + "\n")
	}
	text.WriteString("\n")
	text.Write(c.Note)
	f.Proof = text.String()
	return f.encode()
}

// continued shows the generations that began behind a record, up to that of the
// checkpoint.
func (p *Prover) continued(ctx context.Context, at event.Position, c Checkpoint) ([]link, error) {
	all, err := eventlog.GenerationsOf(ctx, p.store, p.log)
	if err != nil {
		return nil, err
	}
	var list []link
	for _, g := range all {
		if g.First <= at || g.First > c.Size {
			continue
		}
		proof, _, err := p.Inclusion(ctx, g.First, c.Tree)
		if err != nil {
			return nil, err
		}
		for r, err := range p.store.Records(ctx, p.log, g.First, g.First) {
			if err != nil {
				return nil, err
			}
			list = append(list, link{r.Leaf, proof})
		}
	}
	return list, nil
}

// encode writes the file and holds it against the code that strangers run, so
// that no receipt leaves that does not convince.
func (f receiptFile) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		return nil, fault.Wrap("make a receipt", err)
	}
	if _, err := verify.Receipt(b.Bytes(), ""); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "make a receipt", Msg: "the receipt would not verify; run verify on the log", Err: err}
	}
	return b.Bytes(), nil
}
