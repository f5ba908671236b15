package verify

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Generation is a run of records under one log id. A log.continued behind the
// first record begins another: positions and tree go on, the id changes.
type Generation struct {
	LogID     ID         `json:"log"`
	First     uint64     `json:"first"` // its first record
	Continues *Continued `json:"continues,omitempty"`
	// Lost is how many records the continuation admits as lost: those of the
	// generation before, behind its last record here and up to the size of the
	// checkpoint that it names.
	Lost uint64 `json:"lost,omitempty"`
}

// generations tells of which log id a record must be.
type generations struct {
	r     *Report
	key   *verifierKey
	marks *marks
	list  []Generation
	named []namedMark
}

// namedMark is a checkpoint that a continuation names, and that the records
// before it must bear out.
type namedMark struct {
	by   uint64 // position of the continuation
	size uint64
	root tlog.Hash
	note string
}

// of returns the generation of the record at a position, or nil before any is
// known. The empty tree counts as the first one's.
func (g *generations) of(pos uint64) *Generation {
	for i := len(g.list) - 1; i > 0; i-- {
		if pos >= g.list[i].First {
			return &g.list[i]
		}
	}
	if len(g.list) == 0 {
		return nil
	}
	return &g.list[0]
}

// ended returns the generation behind that of the given id, if it is one that
// another took over from.
func (g *generations) ended(log ID) *Generation {
	i := slices.IndexFunc(g.list, func(x Generation) bool { return x.LogID == log })
	if i < 0 || i+1 == len(g.list) {
		return nil
	}
	return &g.list[i+1]
}

// add takes the next record.
func (g *generations) add(l *Leaf, pos uint64) {
	if len(g.list) == 0 {
		g.list = append(g.list, Generation{LogID: l.LogID, First: 1})
		if l.Continued != nil && pos == 1 {
			g.list[0].Continues, g.r.Continues = l.Continued, l.Continued
		}
		return
	}
	now := g.list[len(g.list)-1].LogID
	switch {
	case l.Continued != nil && pos > 1:
		g.begin(l, pos, now)
	case l.LogID != now && pos == 2 && g.marks.known && l.LogID == g.marks.log:
		g.list[0].LogID = l.LogID // it was the first record that does not belong here
		g.r.add(Finding{Code: LogOther, Position: 1,
			Msg: fmt.Sprintf("record 1 is of log %s, this is log %s", now, l.LogID)})
	case l.LogID != now:
		g.r.add(Finding{Code: LogOther, Position: pos,
			Msg: fmt.Sprintf("record %d is of log %s, this is log %s", pos, l.LogID, now)})
	}
}

// begin takes a record that begins a generation.
func (g *generations) begin(l *Leaf, pos uint64, before ID) {
	if l.Continued.LogID != before {
		g.r.add(Finding{Code: LogOther, Position: pos,
			Msg: fmt.Sprintf("record %d continues log %s, but the records before it are of log %s", pos, l.Continued.LogID, before)})
	}
	if slices.ContainsFunc(g.list, func(x Generation) bool { return x.LogID == l.LogID }) {
		g.r.add(Finding{Code: LogOther, Position: pos,
			Msg: fmt.Sprintf("record %d begins log %s, to which earlier records belong already", pos, l.LogID)})
	}
	next := Generation{LogID: l.LogID, First: pos, Continues: l.Continued}
	if l.Continued.Checkpoint != "" {
		next.Lost = g.name(l.Continued, pos)
	}
	g.list = append(g.list, next)
}

// name notes the checkpoint that a continuation names and returns how many
// records it admits as lost.
func (g *generations) name(c *Continued, pos uint64) (lost uint64) {
	cp, err := g.key.open([]byte(c.Checkpoint))
	if err != nil {
		e := err.(*Error)
		g.r.add(Finding{Code: e.Code, Position: pos, Msg: fmt.Sprintf("the checkpoint that record %d names: %s", pos, e.Msg), Evidence: evidence("checkpoint", c.Checkpoint)})
		return 0
	}
	if cp.Size >= pos {
		return cp.Size - (pos - 1)
	}
	g.named = append(g.named, namedMark{pos, cp.Size, cp.Root, c.Checkpoint})
	return 0
}

// settle holds the checkpoints that continuations name against the records
// before: by a stored checkpoint of the same words, which was compared, or else
// by reading the leaves again. It is not asked of a log that is damaged, whose
// tree is not to be had.
func (g *generations) settle(ctx context.Context, src Source) error {
	if len(g.named) == 0 || len(g.r.Findings) > 0 {
		return nil
	}
	for note, err := range src.Checkpoints(ctx) {
		if err != nil {
			return err
		}
		g.named = slices.DeleteFunc(g.named, func(m namedMark) bool { return m.note == string(note) })
	}
	var tree frontier
	var h hasher
	most := uint64(0)
	for _, m := range g.named {
		most = max(most, m.size)
	}
	if len(g.named) > 0 {
		g.compare(&tree)
	}
	if most == 0 {
		return nil
	}
	for e, err := range src.Entries(ctx, 1) {
		if err != nil {
			return err
		}
		tree.push(h.sum(leafPrefix, e.Leaf))
		g.compare(&tree)
		if tree.n == most {
			break
		}
	}
	return nil
}

// compare holds the tree against the checkpoints of its size.
func (g *generations) compare(tree *frontier) {
	for _, m := range g.named {
		if m.size != tree.n || m.root == tree.root() {
			continue
		}
		g.r.add(Finding{Code: Fork, Position: m.by,
			Msg:      fmt.Sprintf("the checkpoint of size %d that record %d names has another root than the records: the log continues another history", m.size, m.by),
			Evidence: evidence("root of the records", tree.root().String(), "root in the checkpoint", m.root.String(), "checkpoint", m.note)})
	}
}

// fits reports whether a tree head is of the log that the record at its size
// belongs to, and says so if not.
func (g *generations) fits(m mark) bool {
	now := g.of(m.size)
	if now == nil || m.log == now.LogID {
		return true
	}
	if next := g.ended(m.log); next != nil && m.size >= next.First {
		g.r.add(lostSince(m, next))
		return false
	}
	g.r.add(Finding{Code: CheckpointOther, Checkpoint: m.ordinal,
		Msg: fmt.Sprintf("the %s (size %d) is of log %s, this is log %s", m.name, m.size, m.log, now.LogID), Evidence: evidence("checkpoint", m.note)})
	return false
}

// lostSince says that a tree head is of records that a new generation took the
// place of: whoever holds it learns what is missing.
func lostSince(m mark, next *Generation) Finding {
	admits := "which nothing in the log admits"
	if known := next.First - 1 + next.Lost; known >= m.size {
		admits = fmt.Sprintf("as record %d admits", next.First)
	} else if next.Lost > 0 {
		admits = fmt.Sprintf("of which record %d admits those up to %d", next.First, known)
	}
	return Finding{Code: Rollback, Checkpoint: m.ordinal, First: next.First, Last: m.size,
		Msg: fmt.Sprintf("the %s is of log %s with %d records; that log ends here with record %d, and record %d goes on as log %s: the records %d to %d that it stands for were lost, %s",
			m.name, m.log, m.size, next.First-1, next.First, next.LogID, next.First, m.size, admits),
		Evidence: evidence("root in the "+m.name, m.root.String(), "checkpoint", m.note)}
}
