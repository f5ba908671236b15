package server

import (
	"context"

	"muniment.dev/api/adapter"
	"muniment.dev/custom/customapi"
	"muniment.dev/field/external/exchange"
	"muniment.dev/field/external/externalapi"
	"muniment.dev/field/fieldapi"
	"muniment.dev/hook/webhook"
	"muniment.dev/ops/metrics"
)

// openAdapters begins to run the adapters, on the node that holds the log. What
// holds for where webhooks may lead holds for adapters.
func (s *Server) openAdapters(c adapter.Core, engine *fieldapi.Engine, entities *customapi.EntityService) {
	networks, _ := webhook.ParseNetworks(s.config.WebhookNetworks) // Check parsed it
	client := exchange.New(webhook.Options{Networks: networks, TLS: s.extra.WebhookTLS, Timeout: s.extra.AdapterTimeout})
	s.adapters = externalapi.New(c, externalapi.Needs{Engine: engine, Entities: entities, Client: client, Source: s.URL(), Logger: s.extra.Logger, Retry: s.extra.AdapterRetry,
		Leading: func(ctx context.Context) (context.Context, context.CancelFunc) { return s.Core.leading(ctx) }})
	if s.config.Webhooks == "off" {
		return
	}
	s.working.Go(func() {
		defer client.Close()
		s.adapters.Run(s.streams)
	})
}

// sampleAdapters is how far adapters are, for metrics. What cannot be read is
// left out: the rest is worth having.
func (s *Server) sampleAdapters() (out []metrics.Adapter) {
	list, err := s.adapters.Progresses(s.streams)
	if err != nil {
		s.extra.Logger.Warn("how far adapters are cannot be read", "error", err)
		return nil
	}
	now := s.Core.Log.Now()
	for _, p := range list {
		m := metrics.Adapter{ID: p.ID.String(), State: string(p.Status), Failed: p.Failed, Behind: p.Behind, Dead: p.Dead, Refused: p.Refused}
		if !p.Oldest.IsZero() {
			m.Lag = now.Sub(p.Oldest)
		}
		if !p.Succeeded.IsZero() {
			m.Succeeded = p.Succeeded
		}
		out = append(out, m)
	}
	return out
}
