package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// openedMax bounds the derived keys kept in memory.
const openedMax = 4096

// opener asks for keys and remembers the newest few thousand.
type opener struct {
	from Opener
	log  ID // under which it keeps the keys: the first generation's
	keys map[keyIn]opened
}

// keyIn is a key in a generation: what follows from it is another in each.
type keyIn struct{ log, key ID }

type opened struct {
	subject ID
	keys    *sealKeys // nil unless active
	state   KeyState
}

func newOpener(from Opener) *opener {
	return &opener{from: from, keys: make(map[keyIn]opened)}
}

// get returns the keys of a subject as derived in a generation, or the state
// that explains their absence.
func (o *opener) get(ctx context.Context, generation, subject, key ID) (opened, error) {
	in := keyIn{generation, key}
	if k, ok := o.keys[in]; ok && k.subject == subject {
		return k, nil
	}
	secret, state, err := o.from.Key(ctx, o.log, subject, key)
	if err != nil {
		return opened{}, fmt.Errorf("key %s: %w", key, err)
	}
	k := opened{subject: subject, state: state}
	switch state {
	case KeyActive:
		if k.keys, err = deriveKeys(secret, generation); err != nil {
			return opened{}, fmt.Errorf("key %s: %w", key, err)
		}
	case KeyNever, KeyErased:
	default:
		return opened{}, fmt.Errorf("key %s: the key store answers with unknown state %d", key, state)
	}
	if len(o.keys) >= openedMax {
		clear(o.keys)
	}
	o.keys[in] = k
	return k, nil
}

// open decrypts a block and recomputes its commitments.
func (v *run) open(ctx context.Context, pos uint64, life *life, l *Leaf, b *Block, ciphertext []byte, blind map[string]string) error {
	v.opener.log = v.gens.list[0].LogID
	k, err := v.opener.get(ctx, l.LogID, b.Subject, b.Key)
	if err != nil {
		return err
	}
	life.opened.count(pos, k.state == KeyActive)
	if k.state != KeyActive {
		return nil // lawful if the log holds the erasure: lives.finish
	}
	n := 0
	fields, err := k.keys.unseal(l, b, ciphertext)
	if err == nil {
		v.report.Opened++
		n, err = k.keys.checkBlock(l.EventID, b, fields, blind)
		v.report.Commitments += uint64(n)
	}
	if err != nil {
		e := err.(*Error)
		v.report.add(Finding{Code: e.Code, Position: pos,
			Msg: fmt.Sprintf("sealed block of subject %s in record %d: %s", b.Subject, pos, e.Msg)})
	}
	return nil
}

// pendingKeys counts the keys that the log erased and the key store still holds.
func (v *run) pendingKeys(ctx context.Context) error {
	var erased []*life
	for _, l := range v.lives.byKey {
		if l.erased != 0 {
			erased = append(erased, l)
		}
	}
	slices.SortFunc(erased, func(a, b *life) int { return slices.Compare(a.key[:], b.key[:]) })
	for _, l := range erased {
		k, err := v.opener.get(ctx, v.report.LogID, l.subject, l.key)
		if err != nil {
			return err
		}
		if k.state == KeyActive {
			v.report.Pending++
		}
	}
	return nil
}

// blind returns the values of the index's blind tags by subject and path, or nil
// if the index is not compared. A tag that the leaf does not commit to is reported.
func (v *run) blind(pos uint64, e *Entry, l *Leaf) map[ID]map[string]string {
	if !v.opt.Blind {
		return nil
	}
	tags := make(map[ID]map[string]string)
	for i := range e.Blind {
		t := &e.Blind[i]
		if !l.commits(t.Subject, t.path()) {
			v.report.add(Finding{Code: TagsIndex, Position: pos,
				Msg: fmt.Sprintf("the index finds record %d under blind tag %s of subject %s, the leaf does not commit to it", pos, t.path(), t.Subject)})
			continue
		}
		if tags[t.Subject] == nil {
			tags[t.Subject] = make(map[string]string)
		}
		tags[t.Subject][t.path()] = t.value()
	}
	return tags
}

// countBlind counts the blind tags of a block that the index has and lacks.
func countBlind(life *life, pos uint64, b *Block, tags map[ID]map[string]string) {
	for _, c := range b.Commitments {
		if strings.HasPrefix(c.Path, tagPath) {
			_, ok := tags[b.Subject][c.Path]
			life.blind.count(pos, ok)
		}
	}
}

// commits reports whether the leaf has a commitment at a path for a subject.
func (l *Leaf) commits(subject ID, path string) bool {
	for i := range l.Blocks {
		if l.Blocks[i].Subject == subject {
			return slices.ContainsFunc(l.Blocks[i].Commitments, func(c Commitment) bool { return c.Path == path })
		}
	}
	return false
}
