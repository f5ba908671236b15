package server

import (
	"context"

	"muniment.dev/api/adapter"
	"muniment.dev/audit/auditapi"
	"muniment.dev/fault"
	"muniment.dev/field/fieldapi"
	"muniment.dev/hook/hookapi"
	"muniment.dev/hook/webhook"
	"muniment.dev/ops/metrics"
)

// openHooks begins to deliver what is subscribed to, on the node that holds the
// log.
func (s *Server) openHooks(c adapter.Core, events *auditapi.Service) {
	networks, _ := webhook.ParseNetworks(s.config.WebhookNetworks) // Check parsed it
	sender := webhook.New(webhook.Options{Networks: networks, TLS: s.extra.WebhookTLS})
	s.hooks = hookapi.New(c, hookapi.Needs{Events: events, Sender: sender, Logger: s.extra.Logger, Streams: s.streams, Retry: s.extra.WebhookRetry,
		Leading: func(ctx context.Context) (context.Context, context.CancelFunc) { return s.Core.leading(ctx) }})
	if s.config.Webhooks == "off" {
		return
	}
	s.working.Go(func() {
		defer sender.Close()
		s.hooks.Run(s.streams)
	})
}

// checkWebhooks reports the first setting about webhooks that cannot be, or nil.
func (c *Config) checkWebhooks() error {
	if c.Webhooks != "" && c.Webhooks != "on" && c.Webhooks != "off" {
		return fault.Field("webhooks", "must be on or off")
	}
	if _, err := webhook.ParseNetworks(c.WebhookNetworks); err != nil {
		return fault.Field("webhook-networks", "%s", fault.Public(err))
	}
	return nil
}

// Progresses are how far the subscriptions are.
func (s *Server) Progresses(ctx context.Context) ([]hookapi.Progress, error) {
	return s.hooks.Progresses(ctx)
}

// sampleHooks is how far subscriptions are, for metrics. What cannot be read is
// left out: the rest is worth having.
func (s *Server) sampleHooks() (out []metrics.Subscription) {
	list, err := s.Progresses(s.streams)
	if err != nil {
		s.extra.Logger.Warn("how far subscriptions are cannot be read", "error", err)
		return nil
	}
	now := s.Core.Log.Now()
	for _, p := range list {
		m := metrics.Subscription{ID: p.ID.String(), State: string(p.Status), Behind: p.Behind, InFlight: p.Out, Retrying: p.Retrying, Dead: p.Dead}
		if !p.Oldest.IsZero() {
			m.Lag = now.Sub(p.Oldest)
		}
		out = append(out, m)
	}
	return out
}

// findDuplicates begins to look for entities that may be the same, on the node
// that holds the log.
func (s *Server) findDuplicates(e *fieldapi.Engine) {
	f := &fieldapi.Finder{Engine: e, Views: s.Core.Views, Logger: s.extra.Logger, Leading: func(ctx context.Context) (context.Context, context.CancelFunc) { return s.Core.leading(ctx) }}
	s.working.Go(func() { f.Run(s.streams) })
}
