package publish

import (
	"context"

	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
)

// Learn has a sealer's registry learn the event types of a log that is only
// read, perhaps without keys: what modules compute it does not need to know.
func Learn(log *eventlog.Log, s *seal.Sealer) {
	s.Registry.Learn(log.ID(), func() error { return learn(context.Background(), log, s) })
}

func learn(ctx context.Context, log *eventlog.Log, s *seal.Sealer) error {
	docs := custom.Documents{}
	documents := event.Query{{Types: []string{"schema.document.put"}}, {Types: []string{"schema.document.removed"}}}
	for r, err := range log.Read(ctx, documents, 0) {
		if err != nil {
			return err
		}
		f, err := s.Decode(ctx, r)
		if err != nil {
			return err
		}
		docs = custom.EvolveDocuments(docs, f)
	}
	types, err := custom.Describe(docs)
	if err != nil {
		return &fault.Error{Kind: fault.Internal, Op: "learn the event types", Msg: "recorded definitions are not good in this version", Err: err}
	}
	for _, d := range types {
		if err := s.Registry.Put(log.ID(), d); err != nil {
			return err
		}
	}
	return nil
}
