package eventlog

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// checkKeys applies the rules of keys to a request's events, in order: a block
// uses its subject's one live key, or one that nobody had before; nothing is
// sealed for a subject that was erased; an erasure names the live key, and no
// key of another. It returns what becomes of keys.
func (s *sequencer) checkKeys(ctx context.Context, events []prepared) ([]KeyUse, error) {
	var uses []KeyUse
	for _, d := range events {
		for i := range d.Blocks {
			use, fresh, err := s.checkBlockKey(ctx, uses, &d.Blocks[i])
			if err != nil {
				return nil, err
			}
			if fresh {
				uses = append(uses, use)
			}
		}
		if d.erase != nil {
			ended, err := s.checkErasure(ctx, uses, d.erase)
			if err != nil {
				return nil, err
			}
			uses = append(uses, ended...)
		}
	}
	return uses, nil
}

func (s *sequencer) checkBlockKey(ctx context.Context, uses []KeyUse, block *event.Block) (use KeyUse, fresh bool, err error) {
	use, known, err := s.subjectKey(ctx, uses, block.Subject)
	switch {
	case err != nil:
		return use, false, err
	case known && use.Erased:
		return use, false, &verdict{ErrSubjectErased}
	case known && use.Key != block.Key:
		return use, false, &verdict{ErrKeyTaken}
	case known:
		return use, false, nil
	}
	if _, taken, err := s.keyOwner(ctx, uses, block.Key); err != nil {
		return use, false, err
	} else if taken {
		return use, false, &verdict{ErrKeyTaken}
	}
	return KeyUse{Subject: block.Subject, Key: block.Key}, true, nil
}

// checkErasure returns the ends of the keys that an erasure names. Keys that
// it names but nobody used yet are spent by it.
func (s *sequencer) checkErasure(ctx context.Context, uses []KeyUse, e *erasure) ([]KeyUse, error) {
	use, known, err := s.subjectKey(ctx, uses, e.Subject)
	if err != nil {
		return nil, err
	}
	if known && !use.Erased && !slices.Contains(e.Keys, use.Key) {
		return nil, &verdict{ErrKeyUnnamed}
	}
	var ended []KeyUse
	for _, k := range e.Keys {
		owner, taken, err := s.keyOwner(ctx, uses, k)
		if err != nil {
			return nil, err
		}
		if taken && owner != e.Subject {
			return nil, &verdict{fault.New(fault.Invalid, "the erasure names a key of another subject")}
		}
		ended = append(ended, KeyUse{Subject: e.Subject, Key: k, Erased: true})
	}
	// The last use stands for the subject: its own key, if it ever had one.
	return append(ended, KeyUse{Subject: e.Subject, Key: use.Key, Erased: true}), nil
}

// subjectKey returns what is known of a subject's key: from the request under
// examination, from batches that are not durable yet, from the store.
func (s *sequencer) subjectKey(ctx context.Context, uses []KeyUse, subject event.SubjectID) (KeyUse, bool, error) {
	for _, u := range slices.Backward(uses) {
		if u.Subject == subject {
			return u, true, nil
		}
	}
	if use, ok := s.subjects.get(subject); ok {
		return use, true, nil
	}
	use, ok, err := s.log.store.Subject(ctx, s.log.id, subject)
	if ok {
		s.subjects.put(subject, use)
	}
	return use, ok, err
}

// keyOwner returns whose a key is, looking where subjectKey looks.
func (s *sequencer) keyOwner(ctx context.Context, uses []KeyUse, key event.KeyID) (event.SubjectID, bool, error) {
	for _, u := range uses {
		if u.Key == key {
			return u.Subject, true, nil
		}
	}
	for _, b := range s.pending() {
		if owner, ok := b.keys[key]; ok {
			return owner, true, nil
		}
	}
	use, ok, err := s.log.store.Key(ctx, s.log.id, key)
	return use.Subject, ok, err
}
