package adapter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// Reading is one request's reading of the views on behalf of its caller. The
// first page that it selects fixes the position; what is read after it is of
// the same.
type Reading struct {
	Who  authz.Authority
	core Core
	from view.Read
	mark event.Position // of the log when the request came in
	past bool           // the request asks how things stood then
}

// Begin begins a reading, as fresh or as old as the request and the
// Muniment-Position header ask.
func (c Core) Begin(ctx context.Context, r *munimentv1.Read) (*Reading, error) {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return nil, err
	}
	mark := c.Runner.Log.Mark().Size
	from, err := c.freshness(ctx, r, mark)
	if err != nil {
		return nil, err
	}
	who, err := c.Runner.Authority(ctx, caller.Actor(), mark)
	if err != nil {
		return nil, err
	}
	if who.Blocked() {
		return nil, fault.New(fault.Denied, "this account cannot be used at the moment; ask your administrator")
	}
	return &Reading{Who: who, core: c, from: from, mark: mark, past: from.At > 0}, nil
}

func (c Core) freshness(ctx context.Context, r *munimentv1.Read, mark event.Position) (view.Read, error) {
	facts, _ := call.FactsOf(ctx)
	seen := facts.Seen
	if !seen.IsZero() {
		if err := c.Runner.Log.CheckPlace(seen.Log, seen.Position); err != nil {
			return view.Read{}, fault.Field("Muniment-Position", "%s; leave it out", fault.Public(err))
		}
	}
	switch {
	case seen.Position > mark:
		return view.Read{}, fault.Field("Muniment-Position", "the log has not reached position %d; it is at %d", seen.Position, mark)
	}
	at, err := c.AsOf(ctx, r)
	switch {
	case err != nil || at > 0:
		return view.Read{At: at}, err
	case r.GetStaleOk():
		return view.Read{Stale: true, AtLeast: seen.Position}, nil
	}
	return view.Read{}, nil
}

// AsOf is the position as of which a request asks to be answered, be it by a
// position or by a time; 0: now.
func (c Core) AsOf(ctx context.Context, r *munimentv1.Read) (event.Position, error) {
	if err := Held(c.Runner.Log, "read.log_id", r.GetLogId(), event.Position(r.GetAtPosition())); err != nil {
		return 0, err
	}
	return Point(ctx, c.Runner.Log, "read.at_position", event.Position(r.GetAtPosition()), "read.at_time", r.GetAtTime())
}

// Held refuses positions of another log than this one, or of a generation that
// ended before them; text is the log id that a request gives with them, or empty.
func Held(l *eventlog.Log, field, text string, positions ...event.Position) error {
	if text == "" {
		return nil
	}
	id, err := ID(field, text)
	if err != nil {
		return err
	}
	for _, p := range positions {
		if err := l.CheckPlace(event.LogID{ID: id}, p); err != nil {
			return fault.Field(field, "%s", fault.Public(err))
		}
	}
	return nil
}

// Point reads a point of the log that a request names by a position or by a
// time; 0 if by neither. A fault names the field.
func Point(ctx context.Context, l *eventlog.Log, positionField string, p event.Position, timeField string, t *timestamppb.Timestamp) (event.Position, error) {
	switch mark := l.Mark().Size; {
	case t == nil && p > mark:
		return 0, fault.Field(positionField, "the log has not reached position %d; it is at %d", p, mark)
	case t == nil:
		return p, nil
	case p > 0:
		return 0, fault.Field(timeField, "give a position or a time, not both")
	case !t.IsValid():
		return 0, fault.Field(timeField, "is not a time")
	}
	p, err := l.AsOf(ctx, t.AsTime())
	if fault.Is(err, fault.Invalid) {
		err = fault.Field(timeField, "%s", fault.Public(err))
	}
	return p, err
}

// answered says which position the answer reflects.
func (r *Reading) answered(ctx context.Context, at event.Position) {
	call.Answered(ctx, call.Place{Log: r.core.Runner.Log.GenerationAt(at), Position: at})
}

// Now is the time that the answer is about: that of the record at the position
// asked for, or the log's.
func (r *Reading) Now(ctx context.Context) (time.Time, error) {
	if !r.past {
		return r.core.Runner.Log.Now(), nil
	}
	rec, err := r.core.Runner.Log.Record(ctx, r.from.At)
	if err != nil {
		return time.Time{}, err
	}
	return rec.Time, nil
}

// Get finds the row with that key; false if there is none. Whether the caller
// may see it is still to be asked.
func (r *Reading) Get(ctx context.Context, table string, key view.Values) (view.Row, bool, error) {
	row, ok, err := r.core.Views.Get(ctx, table, key, r.from)
	switch {
	case err != nil:
		return view.Row{}, false, err
	case r.from.At > 0:
		r.answered(ctx, r.from.At)
	case !r.from.Stale:
		r.answered(ctx, r.mark)
	}
	return row, ok, nil
}

// errToken says that a page token leads nowhere.
var errToken = fault.Field("page_token", "this token is of no page of this list; begin again without one")

// errOldToken says that a page token was given out before records were lost.
var errOldToken = fault.Field("page_token", "this token was given out before the log was restored from a backup; begin again without one")

// generation is what page tokens begin with in a log that lost records, so that
// one from before is known for what it is.
func (c Core) generation() string {
	g := c.Runner.Log.Generations()
	if len(g) == 1 {
		return ""
	}
	return g[len(g)-1].ID.String() + "."
}

// Select answers a page of what a query selects, and the token of the next.
func (r *Reading) Select(ctx context.Context, q view.Query) ([]view.Row, string, error) {
	q.Read = r.from
	generation := r.core.generation()
	if q.After != "" {
		var ok bool
		if q.After, ok = strings.CutPrefix(q.After, generation); !ok {
			return nil, "", errOldToken
		}
	}
	rows, next, at, err := r.core.Views.Select(ctx, q)
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) && f.Kind == fault.Invalid && f.Field == "cursor" {
			err = errToken
		}
		return nil, "", err
	}
	if r.from.At == 0 {
		r.from = view.Read{At: at, Stale: r.from.Stale}
	}
	if r.from.At > 0 {
		r.answered(ctx, r.from.At)
	}
	if next != "" {
		next = generation + next
	}
	return rows, next, nil
}

// Page answers the page of a list that a request asks for.
func (r *Reading) Page(ctx context.Context, q view.Query, size int32, token string) ([]view.Row, string, error) {
	limit, err := PageSize(size)
	if err != nil {
		return nil, "", err
	}
	q.Limit, q.After = limit, token
	return r.Select(ctx, q)
}

// All answers every row that a query selects.
func (r *Reading) All(ctx context.Context, q view.Query) (rows []view.Row, err error) {
	q.Limit = view.MaxLimit
	for {
		page, next, err := r.Select(ctx, q)
		if err != nil {
			return nil, err
		}
		if rows = append(rows, page...); next == "" {
			return rows, nil
		}
		q.After = next
	}
}

// Sees reports whether the caller may see an object of an organization (zero:
// of the instance) that belongs to a user (zero: to nobody).
func (r *Reading) Sees(organization, user event.ID) bool {
	return r.Who.May(authz.ReadObjects, authz.Of(organization)) || !user.IsZero() && r.Who.Is(user)
}

// Visible is the condition that Sees sets for each row of a list: organization
// and user name its columns; user may be empty.
func (r *Reading) Visible(organization, user string) []view.Cond {
	all, some := r.Who.Organizations(authz.ReadObjects)
	if all {
		return nil
	}
	cond := []view.Cond{view.In(organization, some...)}
	if user != "" && r.Who.Is(r.Who.Actor.ID) {
		cond = append(cond, view.Eq(user, r.Who.Actor.ID))
	}
	return []view.Cond{view.Any(cond...)}
}

// Conditions joins conditions of which any may be none.
func Conditions(lists ...[]view.Cond) []view.Cond { return slices.Concat(lists...) }

// Equal is the condition that a filter's id sets; none if it is empty.
func Equal(column, field, text string) ([]view.Cond, error) {
	if text == "" {
		return nil, nil
	}
	id, err := ID(field, text)
	return []view.Cond{view.Eq(column, id)}, err
}

// Time is a time for an answer: nil for none.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
