package verify

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// mark is a tree head that the log must agree with when it has that many records.
type mark struct {
	log     ID
	size    uint64
	root    tlog.Hash
	ordinal uint64 // of a stored checkpoint, from 1; 0 for one from outside
	name    string // what it is, for people
	note    string // the signed text, "" for a register entry
	signed  bool   // its signature was verified with the caller's key
}

// marks yields tree heads by size: the stored checkpoints, of which only the
// next is in memory, merged with the few that come from outside.
type marks struct {
	key   *verifierKey
	log   ID // of the first that there was: what an empty log is called
	known bool
	r     *Report

	pull    func() ([]byte, error, bool)
	stop    func()
	cur     *mark // next stored checkpoint, nil after the last
	read    uint64
	outside []mark // sorted by size

	near []mark // taken from the two for at, not yet dropped
	err  error  // from the source
}

// newMarks starts reading the stored checkpoints.
func newMarks(ctx context.Context, src Source, key *verifierKey, r *Report) *marks {
	m := &marks{key: key, r: r}
	m.pull, m.stop = iter.Pull2(src.Checkpoints(ctx))
	return m
}

// adopt says what an empty log is called, unless that is known already.
func (m *marks) adopt(log ID) {
	if !m.known {
		m.log, m.known = log, true
	}
}

// advance reads the next stored checkpoint that is fit to be compared.
func (m *marks) advance() {
	var least uint64
	if m.cur != nil {
		least = m.cur.size
	}
	for m.cur = nil; m.err == nil; {
		msg, err, ok := m.pull()
		if !ok {
			return
		}
		if err != nil {
			m.err = err
			return
		}
		m.read++
		cp, err := m.key.open(msg)
		if err != nil {
			m.complain(err.(*Error).Code, err.(*Error).Msg, cp, msg)
			continue
		}
		m.adopt(cp.LogID)
		if cp.Size < least {
			m.complain(CheckpointOrder, fmt.Sprintf("of size %d, stored after one of size %d", cp.Size, least), cp, msg)
			continue
		}
		m.cur = &mark{cp.LogID, cp.Size, cp.Root, m.read, fmt.Sprintf("stored checkpoint %d", m.read), string(msg), m.key != nil}
		return
	}
}

func (m *marks) complain(code Code, why string, cp Checkpoint, msg []byte) {
	name := fmt.Sprintf("stored checkpoint %d", m.read)
	if cp.Origin != "" {
		name += fmt.Sprintf(" (size %d)", cp.Size)
	}
	if len(msg) > 4096 {
		msg = msg[:4096]
	}
	m.r.add(Finding{Code: code, Checkpoint: m.read, Msg: name + ": " + why, Evidence: evidence("checkpoint", string(msg))})
}

// add takes a tree head from outside.
func (m *marks) add(x mark) {
	i, _ := slices.BinarySearchFunc(m.outside, x, func(a, b mark) int {
		return cmp.Compare(a.size, b.size)
	})
	m.outside = slices.Insert(m.outside, i, x)
}

// at returns the tree heads of a size. It may be asked again, and for the sizes
// before, until they are dropped.
func (m *marks) at(size uint64) []mark {
	for m.cur != nil && m.cur.size <= size {
		m.near = append(m.near, *m.cur)
		m.advance()
	}
	for len(m.outside) > 0 && m.outside[0].size <= size {
		m.near = append(m.near, m.outside[0])
		m.outside = m.outside[1:]
	}
	if len(m.near) == 0 {
		return nil
	}
	var found []mark
	for _, x := range m.near {
		if x.size == size {
			found = append(found, x)
		}
	}
	return found
}

// drop forgets the tree heads up to a size.
func (m *marks) drop(size uint64) {
	m.near = slices.DeleteFunc(m.near, func(x mark) bool { return x.size <= size })
}

// beyond calls f with every remaining tree head of more than size records.
func (m *marks) beyond(size uint64, f func(mark)) {
	for _, x := range append(m.near, m.outside...) {
		if x.size > size {
			f(x)
		}
	}
	for ; m.cur != nil; m.advance() {
		if m.cur.size > size {
			f(*m.cur)
		}
	}
}
