package hook

import (
	"maps"
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view/entity"
)

// Status is where a subscription stands.
type Status string

// The states of a subscription. None is that of one that there never was.
const (
	None      Status = ""
	Active    Status = "active"
	IsPaused  Status = "paused"  // by somebody
	IsStopped Status = "stopped" // by Muniment; Reason says why
	IsRemoved Status = "removed"
)

// Delivery is how events come to the subscriber.
type Delivery string

// The ways of delivery. Pull is long polling, a stream or server-sent events, as
// the subscriber likes.
const (
	Webhook Delivery = "webhook"
	Pull    Delivery = "pull"
)

// Filter says which events are wanted, as the API of events has it; every list
// that is not empty must match.
type Filter struct {
	Types, Streams, Actors, Tags []string
	Within                       []event.ID // organizations
	Users                        []event.ID
}

// Settings are what can be changed of a subscription.
type Settings struct {
	Name        string
	URL         string // of a webhook
	Filter      Filter
	Concurrency int64 // events that are with the subscriber at once
	Attempts    int64 // until an event is a dead letter
	Unsealed    bool  // with sealed fields, as far as the owner may open them
	Verify      bool  // each event with its receipt, once a checkpoint covers it
}

// Secret is what deliveries are signed with.
type Secret struct {
	ID    event.ID
	Key   event.Sealed[[]byte]
	Added event.Instant
}

// State is what is known of a subscription.
type State struct {
	ID           event.ID
	Organization event.ID
	Owner        event.ID
	Delivery     Delivery
	Settings     Settings
	Secrets      []Secret
	Status       Status
	Reason       string // of a stop
}

// Evolve folds one fact of a subscription's stream.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Created:
		s.ID, s.Organization, s.Owner, s.Delivery, s.Status = p.Subscription, p.Organization, p.Owner, Delivery(p.Delivery), Active
		s.Settings = Settings{p.Name, p.URL.Value, Filter{p.Types, p.Streams, p.Actors, p.Tags, p.Within, p.Users}, p.Concurrency, p.Attempts, p.Unsealed, p.Verify}
	case Changed:
		s.Owner = p.Owner
		s.Settings = Settings{p.Name, p.URL.Value, Filter{p.Types, p.Streams, p.Actors, p.Tags, p.Within, p.Users}, p.Concurrency, p.Attempts, p.Unsealed, p.Verify}
	case SecretAdded:
		s.Secrets = append(slices.Clone(s.Secrets), Secret{p.Secret, p.Key, event.Instant(f.Time.UnixMicro())})
	case SecretRemoved:
		s.Secrets = slices.DeleteFunc(slices.Clone(s.Secrets), func(x Secret) bool { return x.ID == p.Secret })
	case Paused:
		s.Status = IsPaused
	case Stopped:
		s.Status, s.Reason = IsStopped, p.Reason
	case Resumed:
		s.Status, s.Reason, s.Owner = Active, "", p.Owner
	case Removed:
		s.Status = IsRemoved
	}
	return s
}

// Facts are the facts of one subscription.
func Facts(id event.ID) []decide.Facts {
	return []decide.Facts{{Types: types(), Stream: Stream(id)}}
}

// Every are the facts of all of them.
func Every() []decide.Facts { return []decide.Facts{{Types: types()}} }

func types() []string { return entity.Types(Events()) }

// All are all subscriptions, by id.
type All map[event.ID]State

// EvolveAll folds one fact of Every.
func EvolveAll(a All, f event.Fact) All {
	a = maps.Clone(a)
	if a == nil {
		a = All{}
	}
	a[f.Stream.ID] = Evolve(a[f.Stream.ID], f)
	return a
}

// there counts those that are not removed, and those among them that are of an
// organization.
func (a All) there(organization event.ID) (n, of int) {
	for _, s := range a {
		if s.Status == IsRemoved {
			continue
		}
		if n++; s.Organization == organization {
			of++
		}
	}
	return n, of
}

// Most bounds the subscriptions of an instance: each costs a little for every
// event. MostOfOne bounds those of one organization, so that its admins leave
// the others some.
const (
	Most      = 200
	MostOfOne = 50
)

// Refusals.
var (
	ErrNotFound   = fault.New(fault.NotFound, "there is no such subscription")
	ErrMany       = fault.New(fault.Exhausted, "there are %d subscriptions already, and no more are possible", Most)
	ErrManyOfOne  = fault.New(fault.Exhausted, "the organization has %d subscriptions already, and no more are possible", MostOfOne)
	ErrActive     = fault.New(fault.Refused, "the subscription is not paused or stopped")
	ErrPaused     = fault.New(fault.Refused, "the subscription is paused already")
	ErrStopped    = fault.New(fault.Refused, "the subscription is stopped already; resume it when what stopped it is mended")
	ErrNoSecrets  = fault.New(fault.Refused, "only a webhook has signing secrets")
	ErrNoSecret   = fault.New(fault.NotFound, "the subscription has no such secret")
	ErrLastSecret = fault.New(fault.Refused, "this is the only secret that deliveries are signed with; create another first")
	ErrSecrets    = fault.New(fault.Exhausted, "a subscription has at most %d secrets; remove one first", MostSecrets)
)

// MostSecrets is how many secrets sign at once: the one in use, and the one that
// replaces it.
const MostSecrets = 3

// Exists returns nil unless the subscription never was, or was removed.
func (s State) Exists() error {
	if s.Status == None || s.Status == IsRemoved {
		return ErrNotFound
	}
	return nil
}

// manage asks for the right to say whether and where events are delivered.
func manage(a authz.Authority, organization event.ID) error {
	return a.Need(authz.ManageSubscriptions, authz.Of(organization))
}

// MayRead asks for the right to read all that a subscription selects, and to
// open it if it is delivered opened. Whoever lacks it for a part gets nothing:
// a subscriber must be able to rely on what is missing.
func (s Settings) MayRead(a authz.Authority, organization event.ID) error {
	types := s.Filter.Types
	if len(types) == 0 {
		types = []string{"*"}
	}
	for _, t := range types {
		p := authz.Permission{Right: authz.Read, Types: authz.EventTypes(t), Organization: organization}
		if err := a.NeedHold(p); err != nil {
			return err
		}
		if p.Right = authz.Unseal; s.Unsealed {
			if err := a.NeedHold(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// direct asks for the right to say what is delivered, and to read it oneself:
// nobody has delivered to them what they may not read.
func direct(a authz.Authority, organization event.ID, s Settings) error {
	if err := manage(a, organization); err != nil {
		return err
	}
	return s.MayRead(a, organization)
}
