package ops

import (
	"context"
	"encoding/json"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
)

// The requests about views that a running server answers.
const (
	AskViewsCheck   = "views-check/1"
	AskViewsRebuild = "views-rebuild/1"
)

// ViewsResult is what checking or rebuilding the views came to.
type ViewsResult struct {
	Position    event.Position `json:"position"` // to which they were compared or built
	Took        time.Duration  `json:"took"`     // in nanoseconds
	Differences []string       `json:"differences,omitempty"`
	More        int            `json:"more,omitempty"` // differences beyond those
}

// maxDifferences is how many differences are listed.
const maxDifferences = 100

// RebuildViews makes all views again from the log and puts them in the place of
// the old ones, which serve meanwhile. If it fails, they stay.
func RebuildViews(ctx context.Context, set *view.Set, progress func(view.Progress)) (*ViewsResult, error) {
	began := time.Now()
	if err := set.Rebuild(ctx, progress); err != nil {
		return nil, err
	}
	return &ViewsResult{Position: set.Status().Applied, Took: time.Since(began)}, nil
}

// CheckViews compares the views with what the log says.
func CheckViews(ctx context.Context, set *view.Set, progress func(view.Progress)) (*ViewsResult, error) {
	began, out := time.Now(), &ViewsResult{}
	var err error
	out.Position, err = set.Check(ctx, progress, func(d view.Difference) {
		if len(out.Differences) == maxDifferences {
			out.More++
			return
		}
		out.Differences = append(out.Differences, d.String())
	})
	out.Took = time.Since(began)
	return out, err
}

// HandleViews has a running server answer requests about its views.
func (a *Admin) HandleViews(set *view.Set) {
	for name, do := range map[string]viewsWork{AskViewsCheck: CheckViews, AskViewsRebuild: RebuildViews} {
		a.Handle(name, func(ctx context.Context, tell func(any)) (any, error) {
			return do(ctx, set, func(p view.Progress) { tell(p) })
		})
	}
}

type viewsWork func(context.Context, *view.Set, func(view.Progress)) (*ViewsResult, error)

// work does some work on the views of a data directory: it asks the server that
// runs on it, or opens the directory itself.
func work(ctx context.Context, l Layout, p Program, ask string, do viewsWork, progress func(view.Progress)) (*ViewsResult, error) {
	if exists(l.Socket) {
		var r ViewsResult
		err := Ask(ctx, l, ask, func(raw json.RawMessage) {
			var p view.Progress
			if json.Unmarshal(raw, &p) == nil {
				progress(p)
			}
		}, &r)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return &r, err
		}
	}
	s, err := OpenStopped(ctx, l, p, true)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	set, err := s.Views(ctx, ask == AskViewsRebuild, progress)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	return do(ctx, set, progress)
}
