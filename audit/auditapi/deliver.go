package auditapi

import (
	"context"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
)

// What delivers events elsewhere shows them as this API does.

// FilterOf reads a filter of the API, whose positions are the caller's to check.
func FilterOf(m *munimentv1.EventFilter) (audit.Filter, error) { return filter(m) }

// Message is a record as a message, with its fields as far as they may be seen,
// context and tags.
func (s *Service) Message(ctx context.Context, r *event.Record, sight audit.Sight) (*munimentv1.Event, error) {
	return s.detailed(ctx, r, sight, details{fields: true})
}

// Receipt is the receipt of a record, as soon as a checkpoint covers it.
func (s *Service) Receipt(ctx context.Context, p event.Position) ([]byte, error) {
	c, err := s.Checkpoints.WaitFor(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.Prover.Receipt(ctx, p, c)
}

// Covered is the position up to which checkpoints cover the log.
func (s *Service) Covered() event.Position { return s.Checkpoints.Latest().Size }
