package server

import (
	"context"
	"slices"

	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// apiScripts is what scripts of single-page applications may do at the API:
// what its REST and Connect clients do.
var apiScripts = oidc.CORS{API: true, Methods: []string{"GET", "POST"},
	Headers: []string{"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "X-Grpc-Web", "X-User-Agent", "Grpc-Timeout",
		"Idempotency-Key", "Muniment-Position", "Muniment-Source", "X-Correlation-Id", "Traceparent", "Last-Event-Id"},
	Exposed: []string{"Muniment-Position", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Retry-After"}}

// naming are the records that name a web origin: each carries it as a tag.
func naming(origin string) []decide.Facts {
	return []decide.Facts{{Types: []string{"application.added", "application.origins.changed"}, Tags: []event.Tag{event.NewTag("origin", origin)}}}
}

// Allowed implements oidc.Origins. The index finds the few applications that
// ever named the origin; what they are now is asked of each.
func (p *provider) Allowed(ctx context.Context, origin string, api bool) (bool, error) {
	if app.CheckOrigin(origin) != nil { // nobody can have registered it
		return false, nil
	}
	ids, err := decide.Read(ctx, p.core.Runner, "applications of an origin", naming(origin), nil, func(ids []event.ID, f event.Fact) []event.ID {
		if slices.Contains(ids, f.Stream.ID) {
			return ids
		}
		return append(slices.Clone(ids), f.Stream.ID)
	})
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		a, err := p.app(ctx, p.clientID(id))
		if err != nil && !fault.Is(err, fault.NotFound) {
			return false, err
		}
		if err == nil && slices.Contains(a.Origins, origin) && (a.APIAccess || !api) {
			return true, nil
		}
	}
	return false, nil
}
