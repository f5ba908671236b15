package seal

import (
	"context"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Disclosure opens one field of a record to whoever is given it: with the salt
// the record's commitment can be recomputed from the value, and no other.
type Disclosure struct {
	Subject event.SubjectID
	Path    string
	Value   []byte // deterministic CBOR
	Salt    event.Hash
}

// Disclose opens the named paths of a record; a path may be sealed for several
// subjects, and all are opened. It fails with fault.NotFound if a path is not
// in the record, and with fault.Erased if its subject was erased. log is
// the id under which the log's keys are kept. Whether the caller may see the
// values is not asked here.
func Disclose(ctx context.Context, keys *Keys, log event.LogID, r *event.Record, paths ...string) ([]Disclosure, error) {
	var out []Disclosure
	for _, path := range paths {
		n := len(out)
		for i, b := range r.Blocks {
			for _, f := range b.Fields {
				if f.Path != path {
					continue
				}
				d, err := disclose(ctx, keys, log, r, i, path)
				if err != nil {
					return nil, fault.Wrap("disclose "+path, err)
				}
				out = append(out, d)
			}
		}
		if len(out) == n {
			return nil, fault.New(fault.NotFound, "record %d has no sealed field at %q", r.Position, path)
		}
	}
	return out, nil
}

func disclose(ctx context.Context, keys *Keys, log event.LogID, r *event.Record, i int, path string) (Disclosure, error) {
	b := r.Blocks[i]
	k, err := keys.Get(ctx, log, b.Key)
	if err != nil {
		return Disclosure{}, err
	}
	if r.Ciphertexts[i] == nil {
		return Disclosure{}, fault.New(fault.Erased, "the ciphertext was erased")
	}
	d := k.derived(r.Log)
	plaintext, err := d.decrypt(place{r.Log, r.ID, b.Subject, b.Key, r.Type, r.Revision}, r.Ciphertexts[i])
	if err != nil {
		return Disclosure{}, err
	}
	fields := event.Opened{State: event.Present}
	if err := event.Strict.Unmarshal(plaintext, &fields.Fields); err != nil {
		return Disclosure{}, &fault.Error{Kind: fault.Corrupt, Msg: "a sealed block is malformed", Err: err}
	}
	value, ok := fields.Fields[path]
	if !ok {
		return Disclosure{}, fault.New(fault.Refused, "what is committed at %q cannot be disclosed", path)
	}
	return Disclosure{Subject: b.Subject, Path: path, Value: value, Salt: d.committer(r.ID).salt(path)}, nil
}
