package view

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Difference is a row that is not what the log says. It holds no values.
type Difference struct {
	View, Table string
	Key         string         // for people; keys are never personal
	Since       event.Position // the range of the row in question
	Until       event.Position // 0: the present row
	What        string         // "missing": the view lacks it; "extra": the log does not give it; "differs"
	Columns     []string       // for "differs": which
}

// String describes the difference in a line.
func (d Difference) String() string {
	text := fmt.Sprintf("%s: row (%s) of table %s from position %d: %s", d.View, d.Key, d.Table, d.Since, d.What)
	if len(d.Columns) > 0 {
		text += " in " + strings.Join(d.Columns, ", ")
	}
	return text
}

// errErasedMeanwhile is not a difference.
var errErasedMeanwhile = fault.New(fault.Conflict, "a subject was erased during the check, which cannot tell that from a difference; check again")

// longest is how long a check may take; it is there because what has no limit
// gets a short one.
const longest = 24 * time.Hour

// Check makes the views again from the log, beside the ones that serve, and
// reports each row that differs. It returns the position that was compared.
func (s *Set) Check(ctx context.Context, progress func(Progress), report func(Difference)) (at event.Position, err error) {
	const op = "check the views"
	ctx, cancel := s.bound(ctx)
	defer cancel()
	release, err := s.occupy(ctx)
	if err != nil {
		return 0, fault.Wrap(op, err)
	}
	defer release()
	if progress == nil {
		progress = func(Progress) {}
	}
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	if err := s.Fresh(ctx, s.log.Mark().Size); err != nil {
		return 0, fault.Wrap(op, err)
	}
	erasures, from := s.erased(), s.log.Mark().Size
	err = s.build(ctx, checkSuffix, s.all(), s.shadowed, progress, func(d *database) error {
		defer d.shut()
		if err := s.Fresh(ctx, d.place().position); err != nil {
			return err
		}
		// From here on one state of the live one is compared, to which the copy
		// is brought.
		live := s.current()
		return live.read(ctx, func(ctx context.Context, sn *snapshot) error {
			at = sn.at
			return s.compare(ctx, live, sn, d, report)
		})
	})
	if err == nil && (s.erased() != erasures || s.erasedElsewhere(ctx, from)) {
		err = errErasedMeanwhile
	}
	return at, fault.Wrap(op, err)
}

// erased counts the erasures that the serving file has taken in. Those that the
// copy reads again do not count.
func (s *Set) erased() uint64 { return s.erasures.Load() + s.current().erasures.Load() }

// erasedElsewhere tells whether the log says since a position that somebody was
// erased, which another node may have taken in.
func (s *Set) erasedElsewhere(ctx context.Context, from event.Position) bool {
	if _, ok := s.home.(shared); !ok {
		return false
	}
	for range s.log.ReadTo(ctx, event.Query{{Types: []string{erasedType}}}, from, s.log.Mark().Size) {
		return true // or an error, after which nothing can be said either
	}
	return false
}

func (s *Set) compare(ctx context.Context, live *database, sn *snapshot, d *database, report func(Difference)) error {
	for d.place().position < sn.at {
		if _, err := s.patientStep(ctx, d, sn.at, buildBatch); err != nil {
			return err
		}
	}
	for _, v := range live.lay.views {
		for i := range v.Tables {
			t, built := live.lay.tables[v.Tables[i].Name], d.lay.tables[v.Tables[i].Name]
			for n, sql := range t.sql.all {
				if err := t.diff(all(ctx, sn.c, sql), all(ctx, d.w, built.sql.all[n]), report); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// all yields the rows of a statement.
func all(ctx context.Context, c conn, sql string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		stopped := false
		err := query(ctx, c, sql, nil, func(vals []any) error {
			if stopped = !yield(slices.Clone(vals), nil); stopped {
				return errEnough
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

var errEnough = fault.New(fault.Internal, "enough")

// diff walks two lists of ranges in their order and reports where they part.
func (t *table) diff(live, built iter.Seq2[[]any, error], report func(Difference)) error {
	nextLive, stopLive := iter.Pull2(live)
	defer stopLive()
	nextBuilt, stopBuilt := iter.Pull2(built)
	defer stopBuilt()
	a, errA, okA := nextLive()
	b, errB, okB := nextBuilt()
	for okA || okB {
		if err := cmp.Or(errA, errB); err != nil {
			return err
		}
		order := t.compareRanges(a, b, okA, okB)
		switch {
		case order < 0:
			report(t.difference(a, "extra", nil))
		case order > 0:
			report(t.difference(b, "missing", nil))
		default:
			if columns := t.differing(a, b); len(columns) > 0 {
				report(t.difference(a, "differs", columns))
			}
		}
		if order <= 0 {
			a, errA, okA = nextLive()
		}
		if order >= 0 {
			b, errB, okB = nextBuilt()
		}
	}
	return nil
}

// compareRanges orders as statements.all do; what is not there comes last.
func (t *table) compareRanges(a, b []any, okA, okB bool) int {
	if !okA || !okB {
		return int(number(okB) - number(okA))
	}
	n := len(t.Columns)
	order := append(slices.Clone(t.key), n+2)
	if t.ground.clustered {
		order = append([]int{n + 2}, t.key...)
	}
	for _, c := range order {
		if o := compareStored(a[c], b[c]); o != 0 {
			return o
		}
	}
	return 0
}

func compareStored(a, b any) int {
	switch a := a.(type) {
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return cmp.Compare(a, b)
	case []byte:
		b, _ := b.([]byte)
		return bytes.Compare(a, b)
	}
	return 0
}

// differing names the columns in which two versions of a row differ.
func (t *table) differing(a, b []any) []string {
	names := make([]string, 0, len(a))
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	names = append(names, "(erased)", "(since)", "(until)")
	for _, c := range t.prefix {
		names = append(names, t.Columns[c].Name+" (normal form)")
	}
	var out []string
	for i, name := range names {
		if !equal(a[i], b[i]) {
			out = append(out, name)
		}
	}
	return out
}

func (t *table) difference(row []any, what string, columns []string) Difference {
	n := len(t.Columns)
	since, _ := row[n+1].(int64)
	until, _ := row[n+2].(int64)
	return Difference{View: t.view.Name, Table: t.Name, Key: t.showKey(t.keyOf(row)),
		Since: event.Position(since), Until: event.Position(until), What: what, Columns: columns}
}
