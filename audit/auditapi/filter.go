package auditapi

import (
	"context"
	"fmt"
	"strings"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// filter reads the request's filter, of whose positions it sees that they are of
// this log.
func (s *Service) filter(m *munimentv1.EventFilter) (audit.Filter, error) {
	f, err := filter(m)
	if err == nil {
		err = adapter.Held(s.Runner.Log, "filter.log_id", m.GetLogId(), f.After, f.Before)
	}
	return f, err
}

// filter reads the request's filter.
func filter(m *munimentv1.EventFilter) (f audit.Filter, err error) {
	f = audit.Filter{Types: m.GetTypes(), After: event.Position(m.GetAfterPosition()), Before: event.Position(m.GetBeforePosition())}
	if f.Streams, err = each("streams", m.GetStreams(), pattern); err != nil {
		return f, err
	}
	actors, err := each("actors", m.GetActors(), pattern)
	if err != nil {
		return f, err
	}
	for _, a := range actors {
		f.Actors = append(f.Actors, event.Actor(a))
	}
	if f.Organizations, err = each("organization_ids", m.GetOrganizationIds(), id); err != nil {
		return f, err
	}
	if f.Users, err = each("user_ids", m.GetUserIds(), id); err != nil {
		return f, err
	}
	subjects, err := each("subject_ids", m.GetSubjectIds(), id)
	if err != nil {
		return f, err
	}
	for _, s := range subjects {
		f.Subjects = append(f.Subjects, event.SubjectID{ID: s})
	}
	if f.Tags, err = each("tags", m.GetTags(), tag); err != nil {
		return f, err
	}
	if m.GetFrom() != nil {
		f.From = m.GetFrom().AsTime()
	}
	if m.GetTo() != nil {
		f.To = m.GetTo().AsTime()
	}
	return f, f.Check()
}

// each reads the values of one field; a fault names the value by its place.
func each[T interface{}](field string, texts []string, read func(string) (T, error)) ([]T, error) {
	var out []T
	for i, text := range texts {
		v, err := read(text)
		if err != nil {
			return nil, fault.Field(fmt.Sprintf("filter.%s[%d]", field, i), "%s", fault.Public(err))
		}
		out = append(out, v)
	}
	return out, nil
}

// pattern reads kind:id, or kind:* as one without an id.
func pattern(text string) (event.Stream, error) {
	if kind, all := strings.CutSuffix(text, ":*"); all && event.IsName(kind) {
		return event.Stream{Kind: kind}, nil
	}
	if text == "system" {
		return event.Stream(event.System), nil
	}
	s, err := event.ParseStream(text)
	if err == nil && s.ID.IsZero() && s.Kind != event.System.Kind {
		err = fault.New(fault.Invalid, "an id is 32 hexadecimal digits, not all zero; %s:* is every one of that kind", s.Kind)
	}
	return s, err
}

func id(text string) (event.ID, error) {
	v, err := event.ParseID(text)
	if err != nil || v.IsZero() || len(text) != 32 {
		return v, fault.New(fault.Invalid, "an id is 32 lower-case hexadecimal digits, not all zero")
	}
	return v, nil
}

func tag(text string) (event.Tag, error) {
	if name, value, ok := strings.Cut(text, ":"); !ok || !event.IsName(name) || value == "" || len(text) > 300 {
		return "", fault.New(fault.Invalid, "must be name:value")
	}
	return event.Tag(text), nil
}

// asOf is the position that a request asks to be answered as of; 0: now.
func (s *Service) asOf(ctx context.Context, r *munimentv1.Read) (event.Position, error) {
	return adapter.Core{Runner: s.Runner}.AsOf(ctx, r)
}

// resume moves a filter's bounds to where the page before ended. A token is a
// place: log:position.
func (s *Service) resume(f audit.Filter, token string, down bool) (audit.Filter, error) {
	if token == "" {
		return f, nil
	}
	at, err := call.ParsePlace(token)
	if err != nil || at.Position == 0 {
		return f, fault.Field("page_token", "is not one that this server gave")
	}
	if err := s.Runner.Log.CheckPlace(at.Log, at.Position); err != nil {
		return f, fault.Field("page_token", "%s; begin again without one", fault.Public(err))
	}
	return resume(f, at.Position, down), nil
}

func resume(f audit.Filter, p event.Position, down bool) audit.Filter {
	if down && (f.Before == 0 || p < f.Before) {
		f.Before = p
	}
	if !down {
		f.After = max(f.After, p)
	}
	return f
}

func pageSize(n int32) (int, error) {
	switch {
	case n < 0 || n > 1000:
		return 0, fault.Field("page_size", "must be 1 to 1000")
	case n == 0:
		return 100, nil
	}
	return int(n), nil
}
