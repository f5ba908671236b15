package verify

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// chain builds the tree from the records' hashes and holds it against the marks.
//
// The tree lags one record behind, because each record names the hash of the one
// before. So when a record was altered, its successor tells: the chain says what
// the hash should have been, the tree goes on with that, and the next checkpoint
// shows that everything else is intact. The chain only ever helps to say where;
// that the log is good, the tree decides.
type chain struct {
	r     *Report
	marks *marks
	gens  *generations

	tree frontier
	lost bool // records are missing and their hashes unknown: no tree from here on

	last    slot // newest record, not in the tree yet
	started bool
	held    slot // the record before last, while it is open which of them was altered
	holding bool

	good     uint64 // size of the largest mark that agrees
	goodNote string
	sure     uint64 // the same among those from outside
	open     []int  // findings on stored checkpoints that disagree, since the last that agreed
	damaged  uint64 // newest record known to be altered, malformed or missing
}

// slot is a record as far as the chain is concerned.
type slot struct {
	pos  uint64
	hash tlog.Hash // of the bytes at hand
	prev tlog.Hash // which the record names as its predecessor's
	bad  bool      // hash and prev are not to be relied on: malformed, missing or at fault
}

// add takes the next record; its position is one more than that of the last.
func (c *chain) add(s slot) {
	switch {
	case !c.started:
		c.started = true
	case s.bad:
		c.release()
		if c.last.bad {
			c.lost = true
		}
		c.commit(c.last.hash)
	default:
		c.link(&s)
	}
	if s.bad {
		c.damaged = s.pos
	}
	c.last = s
}

// link settles what s tells of the records before by the predecessor it names.
func (c *chain) link(s *slot) {
	last := c.last
	switch {
	case c.holding && s.prev == last.hash:
		c.holding = false // last is as s knows it, so the one held was altered
		c.altered(c.held, last.prev, fmt.Sprintf("record %d", last.pos))
		c.commit(last.prev)
		c.commit(last.hash)
	case c.holding:
		c.holding = false // neither neighbour agrees with last
		c.altered(last, s.prev, fmt.Sprintf("record %d", s.pos))
		c.commit(c.held.hash)
		c.commit(s.prev)
	case s.prev == last.hash:
		c.commit(last.hash)
	case last.bad:
		c.commit(s.prev)
	case c.lost:
		c.either(last, *s)
	default:
		c.arbitrate(last, s)
	}
}

// arbitrate asks the marks whether last was altered or s names a wrong predecessor.
func (c *chain) arbitrate(last slot, s *slot) {
	for _, m := range c.marks.at(last.pos) {
		switch m.root {
		case c.tree.rootWith(last.hash):
			c.broken(*s, last.hash, m.name)
			c.commit(last.hash)
			s.bad = true
			return
		case c.tree.rootWith(s.prev):
			c.altered(last, s.prev, fmt.Sprintf("record %d, confirmed by the %s,", s.pos, m.name))
			c.commit(s.prev)
			return
		}
	}
	c.held, c.holding = last, true
}

// commit puts a hash into the tree and compares the root with the marks of that size.
func (c *chain) commit(h tlog.Hash) {
	if c.lost {
		return
	}
	c.tree.push(h)
	c.compare()
}

// compare holds the tree against the marks of its size.
func (c *chain) compare() {
	found := c.marks.at(c.tree.n)
	if len(found) == 0 {
		return
	}
	root := c.tree.root()
	found = slices.DeleteFunc(found, func(m mark) bool { return !c.gens.fits(m) })
	for _, m := range found {
		if m.root == root {
			c.agree(m)
		}
	}
	for _, m := range found {
		if m.root != root {
			c.disagree(m, root)
		}
	}
	c.marks.drop(c.tree.n)
}

// agree notes that the log has the records the mark stands for.
func (c *chain) agree(m mark) {
	c.good, c.goodNote, c.r.Agreed = m.size, m.note, m.size
	if m.signed {
		c.r.Signed = m.size
	}
	if m.ordinal == 0 {
		c.sure = m.size
		return
	}
	c.r.Checkpoints++
	for _, i := range c.open {
		f := &c.r.Findings[i]
		f.Code, f.Position, f.First, f.Last = Fork, 0, 0, 0
		f.Msg += fmt.Sprintf("; yet the %s of size %d agrees with all the records: they tell two histories", m.name, m.size)
		f.Evidence = append(f.Evidence, evidence("later checkpoint", m.note)...)
	}
	c.open = c.open[:0]
}

// disagree reports a mark with another root. Of a run of stored checkpoints that
// disagree, only the first is reported. What comes from outside is held against
// the log whatever the stored checkpoints say: who rewrites a log signs them anew.
func (c *chain) disagree(m mark, root tlog.Hash) {
	since, code := c.good, TreeRoot
	if m.ordinal == 0 {
		since, code = c.sure, Fork
	}
	f := Finding{Code: code, Checkpoint: m.ordinal, First: since + 1, Last: m.size,
		Msg: fmt.Sprintf("the %s has another root than the first %d records; up to %d they agree with an earlier one", m.name, m.size, since),
		Evidence: evidence("root of the records", root.String(), "root in the "+m.name, m.root.String(),
			"disagreeing checkpoint", m.note, "last agreeing checkpoint", c.goodNote)}
	switch {
	case m.size == since:
		f.Code, f.First, f.Last = Fork, 0, 0
		f.Msg = fmt.Sprintf("the %s of size %d has another root than the records and than another checkpoint of that size: two histories", m.name, m.size)
		c.r.add(f)
		return
	case m.ordinal != 0 && len(c.open) > 0:
		c.r.Suppressed++
		return
	}
	f.Position = c.r.firstIn(f.First, f.Last)
	if c.r.add(f) && m.ordinal != 0 {
		c.open = append(c.open, len(c.r.Findings)-1)
	}
}

// gap is told that the records from first to last are missing.
func (c *chain) gap(first, last uint64) {
	c.r.add(Finding{Code: PositionGap, Position: first, First: first, Last: last,
		Msg: fmt.Sprintf("%d records are missing", last-first+1)})
	if first == last {
		c.add(slot{pos: first, bad: true}) // the next record names its hash
		return
	}
	c.release()
	if c.started && !c.last.bad {
		c.commit(c.last.hash)
	}
	c.lost, c.started, c.damaged = true, false, last
}

// finish settles the last records and returns the root, or zero if it is unknown.
func (c *chain) finish() tlog.Hash {
	if c.holding {
		c.settle()
	} else if c.started {
		c.commit(c.last.hash)
	}
	if c.lost {
		return tlog.Hash{}
	}
	return c.tree.root()
}

// settle decides, without a successor, which of the last two records is at fault.
func (c *chain) settle() {
	c.holding = false
	held, last := c.held, c.last
	found := c.marks.at(last.pos)
	for _, m := range found {
		switch m.root {
		case c.tree.rootWith(last.prev, last.hash):
			c.altered(held, last.prev, fmt.Sprintf("record %d, confirmed by the %s,", last.pos, m.name))
			c.commit(last.prev)
			c.commit(last.hash)
			return
		case c.tree.rootWith(held.hash, last.hash):
			c.broken(last, held.hash, m.name)
			c.commit(held.hash)
			c.commit(last.hash)
			return
		}
	}
	if len(found) > 0 {
		c.broken(last, held.hash, "")
	} else {
		c.either(held, last)
	}
	c.commit(held.hash)
	c.commit(last.hash)
}

// release gives up holding: nothing more will tell which of the two was altered.
func (c *chain) release() {
	if !c.holding {
		return
	}
	c.holding = false
	c.either(c.held, c.last)
	c.commit(c.last.prev)
}

// suspect returns the newest position that is, or may be, damaged.
func (c *chain) suspect() uint64 {
	if c.holding {
		return c.held.pos
	}
	return c.damaged
}

// altered reports a record that is not the one its successor names.
func (c *chain) altered(s slot, want tlog.Hash, by string) {
	c.damaged = max(c.damaged, s.pos)
	c.r.add(Finding{Code: LeafAltered, Position: s.pos,
		Msg:      fmt.Sprintf("record %d is not the one that %s names", s.pos, by),
		Evidence: evidence("hash of the record", s.hash.String(), "hash that its successor names", want.String())})
}

// broken reports a record that names another predecessor than the one before it.
func (c *chain) broken(s slot, before tlog.Hash, by string) {
	msg := fmt.Sprintf("record %d does not name the record before it", s.pos)
	if by != "" {
		msg += ", which the " + by + " confirms"
	}
	c.damaged = max(c.damaged, s.pos)
	c.r.add(Finding{Code: ChainBroken, Position: s.pos, Msg: msg,
		Evidence: evidence("hash of the record before", before.String(), "hash that it names", s.prev.String())})
}

// either reports two records that do not fit together.
func (c *chain) either(a, b slot) {
	c.damaged = max(c.damaged, b.pos)
	c.r.add(Finding{Code: LeafAltered, Position: a.pos, First: a.pos, Last: b.pos,
		Msg:      fmt.Sprintf("record %d is not the one that record %d names: one of them was altered", a.pos, b.pos),
		Evidence: evidence("hash of the first", a.hash.String(), "hash that the second names", b.prev.String())})
}
