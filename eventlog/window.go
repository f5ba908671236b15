package eventlog

import (
	"slices"

	"muniment.dev/event"
)

// entry is a record with what it is found by.
type entry struct {
	rec   *event.Record
	terms []event.Term
	hash  event.Hash // of the leaf
}

// window holds the last records of a log in memory, contiguous and in order,
// so that conditions and reads that start a moment ago need no index. Entries
// are never changed, so a slice of them may be read without the lock.
type window struct {
	entries []entry
	max     int
}

// add appends entries, dropping the oldest when there are twice too many.
func (w *window) add(es []entry) {
	if len(w.entries)+len(es) > 2*w.max {
		keep := w.entries[max(0, len(w.entries)-w.max):]
		w.entries = append(make([]entry, 0, 2*w.max+len(es)), keep...)
	}
	w.entries = append(w.entries, es...)
}

// since returns the entries after a position, and whether the window reaches
// back that far given that the log ends at mark.
func (w *window) since(after, mark event.Position) ([]entry, bool) {
	if after >= mark {
		return nil, true
	}
	if len(w.entries) == 0 || w.entries[0].rec.Position > after+1 {
		return nil, false
	}
	return w.entries[after+1-w.entries[0].rec.Position:], true
}

// forget replaces the entries that hold anything sealed for a subject by ones
// that do not. Readers that hold older entries finish with those.
func (w *window) forget(s event.SubjectID) {
	entries := make([]entry, len(w.entries), max(len(w.entries), 2*w.max))
	copy(entries, w.entries)
	for i, e := range entries {
		if !slices.Contains(e.rec.Subjects(), s) {
			continue
		}
		r := *e.rec
		r.Ciphertexts = slices.Clone(r.Ciphertexts)
		for j, b := range r.Blocks {
			if b.Subject == s {
				r.Ciphertexts[j] = nil
			}
		}
		r.Blind = slices.DeleteFunc(slices.Clone(r.Blind), func(b event.BlindTag) bool { return b.Subject == s })
		entries[i] = entry{&r, r.Terms(), e.hash}
	}
	w.entries = entries
}
