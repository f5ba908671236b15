package verify

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// proofFormat is the first line of a C2SP tlog-proof.
const proofFormat = "c2sp.org/tlog-proof@v1"

// ReceiptReport is what a good receipt shows.
type ReceiptReport struct {
	Verdict    Verdict    `json:"verdict"` // Verified with a key, else Consistent
	LogID      ID         `json:"log"`
	Position   uint64     `json:"position"`
	LeafHash   tlog.Hash  `json:"leafHash"`
	Checkpoint Checkpoint `json:"checkpoint"`
	// Generations are those that began behind the record, up to that of the
	// checkpoint; nil if the checkpoint is of the record's own.
	Generations []Generation `json:"generations,omitempty"`
	Disclosed   []Disclosed  `json:"disclosed,omitempty"`
	Leaf        *Leaf        `json:"-"`
}

// Disclosed is a sealed field that the receipt opens, checked against its commitment.
type Disclosed struct {
	Subject ID     `json:"subject"`
	Path    string `json:"path"`
	Value   []byte `json:"value"` // deterministic CBOR
}

// Receipt checks a receipt file. With a key (a note verifier key whose name is
// the log's origin) it says [Verified]; with "" only that the receipt is
// consistent with itself. A refusal is an [Error] and no report.
func Receipt(file []byte, key string) (*ReceiptReport, error) {
	r := &ReceiptReport{Verdict: Consistent}
	var k *verifierKey
	if key != "" {
		var err error
		if k, err = parseKey(key); err != nil {
			return nil, err
		}
		r.Verdict = Verified
	}
	rf, err := parseReceipt(file)
	if err != nil {
		return nil, err
	}
	if r.Leaf, err = ParseLeaf(rf.leaf); err != nil {
		return nil, err
	}
	index, proof, note, err := parseProof(rf.proof)
	if err != nil {
		return nil, &Error{ReceiptMalformed, "proof: " + err.Error()}
	}
	if r.Checkpoint, err = k.open([]byte(note)); err != nil {
		return nil, err
	}
	r.LogID, r.Position, r.LeafHash = r.Leaf.LogID, r.Leaf.Position, LeafHash(rf.leaf)
	if index != r.Position-1 {
		return nil, &Error{ReceiptProof, fmt.Sprintf("the proof is for index %d, the leaf says position %d", index, r.Position)}
	}
	if err := checkInclusion(proof, r.Checkpoint.Size, r.Checkpoint.Root, r.Position, r.LeafHash); err != nil {
		return nil, err
	}
	if err := r.follow(rf.continued); err != nil {
		return nil, err
	}
	for _, d := range rf.disclosed {
		if err := r.disclose(d); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// follow goes from the record's generation to that of the checkpoint, by the
// records with which those between began: each stands in the same tree.
func (r *ReceiptReport) follow(links []link) error {
	log, at := r.LogID, r.Position
	for _, x := range links {
		l, err := ParseLeaf(x.leaf)
		if err != nil {
			return err
		}
		if l.Continued == nil || l.Continued.LogID != log || l.Position <= at {
			return &Error{LogOther, fmt.Sprintf("the receipt's record %d does not continue log %s behind record %d", l.Position, log, at)}
		}
		if err := checkInclusion(x.proof, r.Checkpoint.Size, r.Checkpoint.Root, l.Position, LeafHash(x.leaf)); err != nil {
			return err
		}
		log, at = l.LogID, l.Position
		g := Generation{LogID: log, First: at, Continues: l.Continued}
		if l.Continued.Checkpoint != "" {
			if cp, err := ParseCheckpoint([]byte(l.Continued.Checkpoint)); err == nil && cp.Size >= at {
				g.Lost = cp.Size - (at - 1)
			}
		}
		r.Generations = append(r.Generations, g)
	}
	if r.Checkpoint.LogID != log {
		return &Error{LogOther, fmt.Sprintf("the leaf is of log %s, the checkpoint of %s", log, r.Checkpoint.LogID)}
	}
	return nil
}

// disclose checks one opened field against the leaf and adds it to the report.
func (r *ReceiptReport) disclose(d disclosure) error {
	c := scanner{s: string(d.value)}
	if strings.HasPrefix(d.path, tagPath) {
		return &Error{ReceiptMalformed, "a blind tag cannot be disclosed"}
	}
	c.value()
	c.end()
	if c.err != nil {
		return &Error{ReceiptMalformed, fmt.Sprintf("value at %q: %s", d.path, c.err.(*Error).Msg)}
	}
	for _, seen := range r.Disclosed {
		if seen.Subject == d.subject && seen.Path == d.path {
			return &Error{ReceiptMalformed, fmt.Sprintf("path %q is disclosed twice", d.path)}
		}
	}
	for _, b := range r.Leaf.Blocks {
		if b.Subject != d.subject {
			continue
		}
		for _, com := range b.Commitments {
			if com.Path != d.path {
				continue
			}
			if commitment(d.salt, d.path, string(d.value)) != com.Sum {
				return &Error{CommitmentDiffer, fmt.Sprintf("path %q: the leaf commits to another value", d.path)}
			}
			r.Disclosed = append(r.Disclosed, Disclosed{d.subject, d.path, d.value})
			return nil
		}
	}
	return &Error{CommitmentDiffer, fmt.Sprintf("the leaf commits to no value at path %q of subject %s", d.path, d.subject)}
}

// parseProof reads C2SP tlog-proof text. Extra data, which nothing
// authenticates, is refused.
func parseProof(s string) (index uint64, proof tlog.RecordProof, note string, err error) {
	head, note, ok := strings.Cut(s, "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 2 || lines[0] != proofFormat {
		return 0, nil, "", errors.New("does not begin as " + proofFormat)
	}
	n, ok := strings.CutPrefix(lines[1], "index ")
	if !ok {
		return 0, nil, "", errors.New("the second line is not the index")
	}
	if index, err = parseSize(n); err != nil {
		return 0, nil, "", err
	}
	if len(lines)-2 > 63 {
		return 0, nil, "", errors.New("longer than any tree is high")
	}
	for _, line := range lines[2:] {
		h, err := parseHash(line)
		if err != nil {
			return 0, nil, "", err
		}
		proof = append(proof, h)
	}
	return index, proof, note, nil
}
