// Package hookapi is the face of subscriptions in the API, and what delivers
// their events: to webhooks by itself, on the node that holds the log; to others
// when they ask, on any. It reads what was decided (package hook), keeps how far
// each subscription is (package react), and shows events as the API of events
// does (package audit/auditapi).
package hookapi

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit/auditapi"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/hook/webhook"
	"muniment.dev/react"
)

// Needs is what the service rests on besides the core.
type Needs struct {
	Events *auditapi.Service
	Sender *webhook.Sender
	Logger *slog.Logger
	// Streams ends when the server stops, and ends all streams with it. May be nil.
	Streams context.Context
	// Leading waits until this node is the one that delivers to webhooks, and
	// gives a context that ends when it is not any more. nil: it always is.
	Leading func(context.Context) (context.Context, context.CancelFunc)
	// Retry of webhooks; zero: the usual one.
	Retry react.Retry
}

// Service implements munimentv1connect.SubscriptionServiceHandler.
type Service struct {
	core adapter.Core
	Needs

	bells bells
}

// New makes the service. Run delivers to webhooks.
func New(c adapter.Core, n Needs) *Service {
	if n.Logger == nil {
		n.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{core: c, Needs: n}
}

const idField = "subscription_id"

// state is how a subscription is now; hook.ErrNotFound if there is none.
func (s *Service) state(ctx context.Context, id event.ID) (hook.State, error) {
	st, err := decide.Read(ctx, s.core.Runner, "subscription", hook.Facts(id), hook.State{}, hook.Evolve)
	if err != nil {
		return st, fault.Wrap("read a subscription", err)
	}
	return st, st.Exists()
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

// owner is the id of the caller, as the owner of what they direct.
func owner(ctx context.Context) (event.ID, error) {
	c, err := call.CallerOf(ctx)
	return c.ID, err
}

// book is where a subscription's cursor is kept.
func (s *Service) book(id event.ID) react.Book {
	return react.Book{Log: s.core.Runner.Log, Name: "subscription/" + id.String()}
}

// newSecret makes a signing secret.
func newSecret() hook.NewSecret {
	n := hook.NewSecret{ID: event.NewID()}
	rand.Read(n.Key[:]) // never fails (crypto/rand)
	return n
}

// bells tell those who wait for a subscription that something was settled.
type bells struct {
	mu sync.Mutex
	of map[event.ID]chan struct{}
}

// wait gives a channel that is closed when the subscription's bell rings next.
func (b *bells) wait(id event.ID) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[event.ID]chan struct{}{}
	}
	if b.of[id] == nil {
		b.of[id] = make(chan struct{})
	}
	return b.of[id]
}

func (b *bells) ring(id event.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.of[id]; c != nil {
		close(c)
		delete(b.of, id)
	}
}

// wire is a filter as the API of events has it.
func wire(f hook.Filter, organization event.ID) *munimentv1.EventFilter {
	m := &munimentv1.EventFilter{Types: f.Types, Streams: f.Streams, Actors: f.Actors, Tags: f.Tags, OrganizationIds: texts(f.Within), UserIds: texts(f.Users)}
	if !organization.IsZero() { // its own events, and no others
		m.OrganizationIds = []string{organization.String()}
	}
	return m
}

func texts(ids []event.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}
