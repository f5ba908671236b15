package seal

import (
	"context"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Open opens a record's sealed blocks, as far as their keys still exist. A
// block whose subject was erased, as the log says, or whose key was destroyed,
// is Erased; any other whose key is not here is Locked.
// A missing ciphertext of a live key, and one that does not open, is
// fault.Corrupt.
func (s *Sealer) Open(ctx context.Context, r *event.Record) ([]event.Opened, error) {
	out := make([]event.Opened, len(r.Blocks))
	for i, b := range r.Blocks {
		if gone, err := s.erased(ctx, b.Subject); err != nil {
			return nil, fault.Wrap("open a record", err)
		} else if gone {
			out[i].State = event.Erased
			continue
		}
		k, err := s.derived(ctx, r.Log, b.Key)
		switch {
		case fault.Is(err, fault.Erased):
			out[i].State = event.Erased
			continue
		case fault.Is(err, fault.NotFound):
			if out[i].State, err = s.locked(ctx, b.Subject); err != nil {
				return nil, fault.Wrap("open a record", err)
			}
			continue
		case err != nil:
			return nil, fault.Wrap("open a record", err)
		}
		if out[i], err = s.openBlock(ctx, r, i, k); err != nil {
			return nil, fault.Wrap(fmt.Sprintf("open the record at position %d", r.Position), err)
		}
	}
	return out, nil
}

func (s *Sealer) erased(ctx context.Context, subject event.SubjectID) (bool, error) {
	if s.Erased == nil {
		return false, nil
	}
	return s.Erased(ctx, subject)
}

// locked is the state of a block whose key this store never had: a backup may
// have been restored that knows neither the key nor its end.
func (s *Sealer) locked(ctx context.Context, subject event.SubjectID) (event.State, error) {
	if _, state, err := s.Assigned.AssignedKey(ctx, subject); err != nil || state == event.Erased {
		return event.Erased, err
	}
	return event.Locked, nil
}

func (s *Sealer) openBlock(ctx context.Context, r *event.Record, i int, k *derived) (event.Opened, error) {
	b := r.Blocks[i]
	if r.Ciphertexts[i] == nil {
		if _, state, err := s.Assigned.AssignedKey(ctx, b.Subject); err != nil || state == event.Erased {
			return event.Opened{State: event.Erased}, err
		}
		return event.Opened{}, fault.New(fault.Corrupt, "a ciphertext is missing although its key was never erased")
	}
	plaintext, err := k.decrypt(place{r.Log, r.ID, b.Subject, b.Key, r.Type, r.Revision}, r.Ciphertexts[i])
	if err != nil {
		return event.Opened{}, err
	}
	o := event.Opened{State: event.Present, Fields: map[string]cbor.RawMessage{}}
	if err := event.Strict.Unmarshal(plaintext, &o.Fields); err != nil {
		return event.Opened{}, &fault.Error{Kind: fault.Corrupt, Msg: "a sealed block is malformed", Err: err}
	}
	return o, nil
}

// Decode reads what a record says. Sealed fields come as far as they can be
// opened. It fails with fault.NotFound for a type that is not registered.
func (s *Sealer) Decode(ctx context.Context, r *event.Record) (event.Fact, error) {
	d, err := s.Registry.Lookup(s.Log, r.Type, r.Revision)
	if err != nil {
		return event.Fact{}, err
	}
	opened, err := s.Open(ctx, r)
	if err != nil {
		return event.Fact{}, err
	}
	return d.Decode(r, opened)
}

// ContextValue is one item of a record's sealed context.
type ContextValue struct {
	Subject event.SubjectID
	Name    string
	State   event.State
	Text    string
}

// SealedContext lists the sealed context of a record (address, user agent,
// reason) as far as it can be opened.
func SealedContext(r *event.Record, opened []event.Opened) []ContextValue {
	var out []ContextValue
	for i, b := range r.Blocks {
		for _, f := range b.Fields {
			name, ok := strings.CutPrefix(f.Path, "#context/")
			if !ok {
				continue
			}
			v := ContextValue{Subject: b.Subject, Name: name, State: event.Locked}
			if i < len(opened) {
				v.State = opened[i].State
				if raw, ok := opened[i].Fields[f.Path]; ok && event.Strict.Unmarshal(raw, &v.Text) != nil {
					v.State = event.Locked
				}
			}
			out = append(out, v)
		}
	}
	return out
}

// CheckCommitments recomputes the commitments of an opened block and returns
// the paths that do not agree. A blind tag that the index no longer has is
// reported too.
func (s *Sealer) CheckCommitments(ctx context.Context, r *event.Record, i int) (wrong []string, err error) {
	b := r.Blocks[i]
	k, err := s.derived(ctx, r.Log, b.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.openBlock(ctx, r, i, k)
	if err != nil || o.State != event.Present {
		return nil, err
	}
	values := map[string][]byte{}
	for path, raw := range o.Fields {
		values[path] = raw
	}
	for _, t := range r.Blind {
		if t.Subject == b.Subject {
			values[TagPath(t)] = tagValue(t)
		}
	}
	c := k.committer(r.ID)
	for _, f := range b.Fields {
		v, ok := values[f.Path]
		if !ok || c.commit(f.Path, v) != f.Value {
			wrong = append(wrong, f.Path)
		}
	}
	return wrong, nil
}
