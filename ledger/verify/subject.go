package verify

import (
	"cmp"
	"fmt"
	"slices"
)

// life is what the log tells of one subject's key. A subject has one key, ever.
type life struct {
	subject ID
	key     ID
	keyed   bool   // key is known
	erased  uint64 // position whose erasure lists the key, 0 if none
	gone    uint64 // position of the subject's first erasure, 0 if none; set whenever erased is

	sealed lack // blocks: ciphertext there or missing
	opened lack // blocks for which the key store had the key or not
	blind  lack // blind tags in the index or missing
}

// lack counts what is there, what is missing, and where that begins.
type lack struct {
	present, missing, first uint64
}

func (l *lack) count(pos uint64, present bool) {
	if present {
		l.present++
		return
	}
	if l.missing++; l.first == 0 {
		l.first = pos
	}
}

// lives holds the rules of keys and erasures. It keeps one entry per subject,
// about 250 bytes.
type lives struct {
	r         *Report
	bySubject map[ID]*life
	byKey     map[ID]*life
}

func newLives(r *Report) *lives {
	return &lives{r, make(map[ID]*life), make(map[ID]*life)}
}

// use notes that the record at pos seals something, and returns the key's life.
func (s *lives) use(pos uint64, b *Block) *life {
	l := s.byKey[b.Key]
	if l == nil {
		return s.first(pos, b)
	}
	switch {
	case l.subject != b.Subject:
		s.r.add(Finding{Code: KeyShared, Position: pos,
			Msg: fmt.Sprintf("record %d seals subject %s under key %s of subject %s", pos, b.Subject, b.Key, l.subject)})
	case l.gone != 0:
		s.after(pos, l)
	}
	return l
}

// first notes a key that no record used before.
func (s *lives) first(pos uint64, b *Block) *life {
	l := s.bySubject[b.Subject]
	if l != nil && l.gone != 0 {
		s.after(pos, l)
	}
	switch {
	case l == nil:
		l = &life{subject: b.Subject, key: b.Key, keyed: true}
		s.bySubject[b.Subject] = l
	case !l.keyed:
		l.key, l.keyed = b.Key, true
	default:
		s.r.add(Finding{Code: KeySecond, Position: pos,
			Msg: fmt.Sprintf("record %d seals subject %s under key %s, its key is %s", pos, b.Subject, b.Key, l.key)})
		l = &life{subject: b.Subject, key: b.Key, keyed: true}
	}
	s.byKey[b.Key] = l
	return l
}

func (s *lives) after(pos uint64, l *life) {
	s.r.add(Finding{Code: KeyAfter, Position: pos,
		Msg: fmt.Sprintf("record %d seals for subject %s, which record %d erased", pos, l.subject, l.gone)})
}

// erase notes an erasure. Blocks of the same record are noted before.
func (s *lives) erase(pos uint64, e *Erasure) {
	l := s.bySubject[e.Subject]
	if l == nil {
		l = &life{subject: e.Subject}
		s.bySubject[e.Subject] = l
	}
	if l.gone == 0 {
		l.gone = pos
	}
	if l.keyed && l.erased == 0 && !e.has(l.key) {
		s.r.add(Finding{Code: ErasureIncomplete, Position: pos,
			Msg: fmt.Sprintf("record %d erases subject %s but does not list its key %s", pos, l.subject, l.key)})
	}
	for _, key := range e.Keys {
		k := s.byKey[key]
		switch {
		case k == nil: // drawn, but never used
			s.byKey[key] = &life{subject: e.Subject, key: key, keyed: true, erased: pos, gone: l.gone}
		case k.subject != e.Subject:
			s.r.add(Finding{Code: KeyShared, Position: pos,
				Msg: fmt.Sprintf("record %d erases key %s for subject %s, it belongs to subject %s", pos, key, e.Subject, k.subject)})
		case k.erased == 0:
			k.erased, k.gone = pos, l.gone
		}
	}
}

// finish counts what was lawfully erased and what is still to be deleted, and
// reports what is missing without an erasure.
func (s *lives) finish() {
	var lost []*life
	for _, l := range s.byKey {
		if l.erased != 0 {
			s.r.Erased += l.sealed.missing
			s.r.Pending += l.sealed.present + l.blind.present
		} else if l.sealed.missing+l.opened.missing+l.blind.missing != 0 {
			lost = append(lost, l)
		}
	}
	slices.SortFunc(lost, func(a, b *life) int {
		return cmp.Or(cmp.Compare(a.where(), b.where()), slices.Compare(a.key[:], b.key[:]))
	})
	for _, l := range lost {
		s.report(CiphertextLost, l, l.sealed, "ciphertext missing")
		s.report(KeyLost, l, l.opened, "key missing from the key store")
		s.report(TagsIndex, l, l.blind, "blind tag missing from the index")
	}
}

func (s *lives) report(code Code, l *life, k lack, what string) {
	if k.missing == 0 {
		return
	}
	s.r.add(Finding{Code: code, Position: k.first,
		Msg: fmt.Sprintf("%s in %d blocks, the first in record %d, and no erasure of key %s of subject %s covers it",
			what, k.missing, k.first, l.key, l.subject)})
}

// where returns the first position at which something is missing.
func (l *life) where() uint64 {
	at := ^uint64(0)
	for _, k := range []lack{l.sealed, l.opened, l.blind} {
		if k.missing != 0 {
			at = min(at, k.first)
		}
	}
	return at
}
