package adapter

import (
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// ID reads an id of a request: exactly 32 lower-case hexadecimal digits, not
// all of them zero, which stands for "none" inside. The fault names the field.
func ID(field, text string) (event.ID, error) {
	if text == "" {
		return event.ID{}, fault.Field(field, "is missing; an id is 32 lower-case hexadecimal digits")
	}
	id, err := event.ParseID(text)
	if err != nil || len(text) != 32 || id.IsZero() {
		return event.ID{}, fault.Field(field, "an id is 32 lower-case hexadecimal digits, not all zero")
	}
	return id, nil
}

// UUID reads the id of something that is the caller's own: with or without the
// dashes of a UUID, in capitals or not.
func UUID(field, text string) (event.ID, error) {
	id, err := event.ParseID(strings.ToLower(text))
	if err != nil || id.IsZero() {
		return event.ID{}, fault.Field(field, "must be a UUID, not all zero")
	}
	return id, nil
}

// maxPage bounds the size of a page; pages have defaultPage if nothing is said.
const (
	maxPage     = 500
	defaultPage = 50
)

// PageSize reads the size of a page.
func PageSize(n int32) (int, error) {
	switch {
	case n < 0 || n > maxPage:
		return 0, fault.Field("page_size", "a page has 1 to %d entries; 0 means %d", maxPage, defaultPage)
	case n == 0:
		return defaultPage, nil
	}
	return int(n), nil
}

// maxPrefix bounds a text to search by, in bytes.
const maxPrefix = 200

// Prefix checks a text to search by.
func Prefix(field, text string) error {
	if len(text) > maxPrefix {
		return fault.Field(field, "has at most %d bytes", maxPrefix)
	}
	return nil
}

// Scope reads what something extends to: an organization, or zero for the
// instance. Saying nothing must not mean everything.
func Scope(field string, s *munimentv1.Scope) (event.ID, error) {
	switch level := s.GetLevel().(type) {
	case *munimentv1.Scope_Instance:
		if level.Instance {
			return event.ID{}, nil
		}
	case *munimentv1.Scope_OrganizationId:
		return ID(field+".organization_id", level.OrganizationId)
	}
	return event.ID{}, fault.Field(field, "name the instance (instance: true) or an organization")
}
