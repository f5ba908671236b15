package hookapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/audit"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/hook"
	"muniment.dev/hook/webhook"
	"muniment.dev/react"
)

// The pauses between attempts: for a webhook from a second up to six hours, so
// that twenty attempts last about a day and a half; for whoever pulls up to ten
// minutes.
var (
	ofWebhooks = react.Retry{First: time.Second, Most: 6 * time.Hour, Jitter: rand.Float64}
	ofPulls    = react.Retry{First: time.Second, Most: 10 * time.Minute, Jitter: rand.Float64}
)

// Run delivers to webhooks until the context ends, whenever this node is the one
// that does.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		turn, end := ctx, context.CancelFunc(func() {})
		if s.Leading != nil {
			turn, end = s.Leading(ctx)
		}
		if turn.Err() == nil {
			s.lead(turn)
		}
		end()
	}
}

// settles is how long the log may go on before the list of webhooks is looked at
// again: many changes are looked at once.
const settles = 20 * time.Millisecond

// lead runs a pump for each webhook that is active.
func (s *Service) lead(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	var running sync.Map // by id
	l := s.core.Runner.Log
	for ctx.Err() == nil {
		at := l.Mark().Size
		all, err := decide.Read(ctx, s.core.Runner, "all subscriptions", hook.Every(), hook.All{}, hook.EvolveAll)
		if err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "subscriptions cannot be read; it is tried again", "error", err)
			pause(ctx, time.Second)
			continue
		}
		for id, st := range all {
			if st.Delivery != hook.Webhook || st.Status != hook.Active {
				continue
			}
			if _, runs := running.LoadOrStore(id, true); runs {
				continue
			}
			work.Go(func() {
				s.pumpOn(ctx, id)
				running.Delete(id)
			})
		}
		wait, cancel := context.WithTimeout(ctx, 10*time.Second) // a pump may have ended meanwhile
		l.Wait(wait, at)                                         //nolint:errcheck // either way it is looked again
		cancel()
		pause(ctx, settles)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pumpOn runs a subscription's pump, again and again, until it is idle.
func (s *Service) pumpOn(ctx context.Context, id event.ID) {
	for ctx.Err() == nil {
		err := s.pump(id).Run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errGone):
			if err = s.stop(ctx, id, becauseGone); fault.Is(err, fault.Refused) {
				return
			}
		case fault.Is(err, fault.Refused), fault.Is(err, fault.NotFound):
			return
		case errors.Is(err, eventlog.ErrCursorMoved):
			err = nil // another node has taken over, or has just had it
		}
		if err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "a subscription cannot be delivered; it is tried again", "subscription", id.String(), "error", err)
		}
		pause(ctx, time.Second)
	}
}

// errGone ends the pump of a receiver that wants nothing any more.
var errGone = fault.New(fault.Refused, "gone")

// pump makes the pump of a webhook.
func (s *Service) pump(id event.ID) *react.Pump {
	var now atomic.Pointer[hook.State]
	return &react.Pump{Book: s.book(id),
		Plan: func(ctx context.Context, c *react.Cursor) (react.Job, error) {
			st, job, err := s.plan(ctx, id, c)
			now.Store(&st)
			return job, err
		},
		Send: func(ctx context.Context, d react.Delivery) error { return s.send(ctx, *now.Load(), d) },
	}
}

// plan is what there is to do for a subscription.
func (s *Service) plan(ctx context.Context, id event.ID, c *react.Cursor) (hook.State, react.Job, error) {
	if err := s.follow(ctx, id, c); err != nil {
		return hook.State{}, react.Job{}, err
	}
	upto := s.core.Runner.Log.Mark().Size // before the right is asked for: what comes behind its withdrawal is not for the owner
	st, err := s.state(ctx, id)
	if err == nil {
		err = idle(st)
	}
	if err == nil {
		err = s.mayGoOn(ctx, st, c)
	}
	if err != nil {
		return st, react.Job{}, err
	}
	sel, err := s.selection(st, upto)
	return st, react.Job{Selection: sel, Retry: s.retry(st), Max: int(st.Settings.Concurrency)}, err
}

// retry is when what failed is tried again.
func (s *Service) retry(st hook.State) react.Retry {
	r := ofPulls
	if st.Delivery == hook.Webhook {
		r = ofWebhooks
		if s.Retry.First > 0 {
			r = s.Retry
		}
	}
	r.Attempts = int(st.Settings.Attempts)
	return r
}

// sight is what may be opened of what is delivered: all that the owner may open
// if it is to be delivered opened, else nothing. That it may be read was settled
// before.
func (s *Service) sight(ctx context.Context, st hook.State, who event.Actor) (audit.Sight, error) {
	if !st.Settings.Unsealed {
		return audit.Sight{}, nil
	}
	a, err := s.authority(ctx, who)
	return audit.Of(a), err
}

// mediaType is that of one CloudEvent in structured form (CloudEvents HTTP
// binding §3.2).
const mediaType = "application/cloudevents+json; charset=utf-8"

// send sends one event to a webhook.
func (s *Service) send(ctx context.Context, st hook.State, d react.Delivery) error {
	m, err := s.message(ctx, st, d)
	if err != nil {
		s.Logger.ErrorContext(ctx, "an event cannot be made ready for delivery", "subscription", st.ID.String(), "position", uint64(d.Record.Position), "error", err)
		return err
	}
	var f *webhook.Failure
	if err := s.Sender.Send(ctx, m); !errors.As(err, &f) {
		return err
	}
	s.Logger.DebugContext(ctx, "an event was not delivered", "subscription", st.ID.String(), "position", uint64(d.Record.Position), "attempt", d.Attempt, "error", f)
	r := &react.Refusal{Failure: react.Failure{Reason: react.Unreachable, Status: f.Status}, After: f.After}
	switch {
	case f.Forbidden:
		r.Reason = react.Forbidden
	case f.Timeout:
		r.Reason = react.TimedOut
	case f.Status > 0:
		r.Reason = react.Answered
	}
	if f.Status == http.StatusGone { // Standard Webhooks, "Disabling failing endpoints"
		r.Stop = errGone
	}
	return r
}

// message is one event on its way to a webhook.
func (s *Service) message(ctx context.Context, st hook.State, d react.Delivery) (webhook.Message, error) {
	sight, err := s.sight(ctx, st, event.Actor{Kind: "user", ID: st.Owner})
	if err != nil {
		return webhook.Message{}, err
	}
	ev, err := s.Events.Message(ctx, d.Record, sight)
	if err != nil {
		return webhook.Message{}, err
	}
	var receipt []byte
	if st.Settings.Verify {
		if receipt, err = s.Events.Receipt(ctx, d.Record.Position); err != nil {
			return webhook.Message{}, err
		}
	}
	m := webhook.Message{URL: st.Settings.URL, ID: d.Record.ID.String(), Time: s.core.Runner.Log.Now(), Type: mediaType,
		Headers: map[string]string{"Muniment-Subscription": st.ID.String(), "Muniment-Attempt": strconv.Itoa(d.Attempt)}}
	if d.Repeat { // it is not repeated in silence
		m.Headers["Muniment-Repeat"] = "true"
	}
	for _, secret := range st.Secrets {
		key, ok := secret.Key.Get()
		if !ok {
			return m, fault.New(fault.Unavailable, "a signing secret cannot be opened")
		}
		m.Keys = append(m.Keys, key)
	}
	m.Body, err = s.Events.CloudEvent(ev, receipt)
	return m, err
}
