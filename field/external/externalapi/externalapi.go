// Package externalapi is the face of adapters in the API, and what runs them on
// the node that holds the log. It reads what was decided (package external),
// speaks with external systems (package exchange), keeps how far each adapter is
// (package react, and Progress), and records what they offer as devices' events
// are recorded (package fieldapi).
package externalapi

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	"muniment.dev/authz"
	"muniment.dev/custom/customapi"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/field/external/exchange"
	"muniment.dev/field/fieldapi"
	"muniment.dev/react"
)

// Needs is what the service rests on besides the core.
type Needs struct {
	Engine   *fieldapi.Engine
	Entities *customapi.EntityService
	Client   *exchange.Client
	Source   string // what events come from: the address of the instance
	Logger   *slog.Logger
	// Leading waits until this node is the one that runs adapters, and gives a
	// context that ends when it is not any more. nil: it always is.
	Leading func(context.Context) (context.Context, context.CancelFunc)
	// Retry is when a run that failed, or an event that was put off, is tried
	// again; zero: the usual one.
	Retry react.Retry
}

// Service implements munimentv1connect.AdapterServiceHandler.
type Service struct {
	core adapter.Core
	Needs
}

// New makes the service. Run runs the adapters.
func New(c adapter.Core, n Needs) *Service {
	if n.Logger == nil {
		n.Logger = slog.New(slog.DiscardHandler)
	}
	if n.Retry.First == 0 {
		n.Retry = usual
	}
	return &Service{core: c, Needs: n}
}

const idField = "adapter_id"

// state is how an adapter is now; external.ErrNotFound if there is none.
func (s *Service) state(ctx context.Context, id event.ID) (external.State, error) {
	st, err := decide.Read(ctx, s.core.Runner, "adapter", external.Facts(id), external.State{}, external.Evolve)
	if err != nil {
		return st, fault.Wrap("read an adapter", err)
	}
	return st, st.Exists()
}

// all are all adapters that there are.
func (s *Service) all(ctx context.Context) (external.All, error) {
	all, err := decide.Read(ctx, s.core.Runner, "all adapters", external.Every(), external.All{}, external.EvolveAll)
	return all, fault.Wrap("read the adapters", err)
}

// authority is what a user may do now.
func (s *Service) authority(ctx context.Context, a event.Actor) (authz.Authority, error) {
	return s.core.Runner.Authority(ctx, a, s.core.Runner.Log.Mark().Size)
}

// caller is who calls, and what they may do now.
func (s *Service) caller(ctx context.Context) (authz.Authority, error) {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return authz.Authority{}, err
	}
	return s.authority(ctx, c.Actor())
}

// types are the types of events of entities of some types, by the definitions in
// force; an error if there is no such type of entity.
func (s *Service) types(ctx context.Context, kinds []string) ([]string, error) {
	defs, err := s.Engine.Catalog.Current(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	found := map[string]bool{}
	for name, t := range defs.Set.Events {
		if kind := t.Entity; slices.Contains(kinds, kind) {
			out, found[kind] = append(out, name), true
		}
	}
	slices.Sort(out)
	for _, k := range kinds {
		if !found[k] {
			return out, fault.Field("entity_types", "there is no type of entity %q with events; GET /v1/schema lists those that are defined", k)
		}
	}
	return out, nil
}

// book is where the cursor of what an adapter pushes is kept.
func (s *Service) book(id event.ID) react.Book {
	return react.Book{Log: s.core.Runner.Log, Name: "adapter/" + id.String()}
}

// target is the external system of an adapter.
func target(st external.State) (exchange.Target, error) {
	t := exchange.Target{URL: st.Settings.URL, Headers: map[string]string{"Muniment-Adapter": customapi.UUID(st.ID)}}
	secret, ok := st.Credential.Secret.Get()
	if !ok || t.URL == "" {
		return t, fault.New(fault.Unavailable, "what an adapter proves itself by cannot be opened")
	}
	return t, prove(&t, st.Credential.Kind, secret)
}

// errStopped ends a run of an adapter that was stopped, paused or removed.
var errStopped = errors.New("the adapter does not run any more")
