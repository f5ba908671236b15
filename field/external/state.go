package external

import (
	"maps"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view/entity"
)

// Status is where an adapter stands.
type Status string

// The states of an adapter. None is that of one that there never was.
const (
	None      Status = ""
	Active    Status = "active"
	IsPaused  Status = "paused"  // by somebody
	IsStopped Status = "stopped" // by Muniment; Reason says why
	IsRemoved Status = "removed"
)

// Direction says which way events go.
type Direction string

// The directions.
const (
	Push Direction = "push"
	Pull Direction = "pull"
	Both Direction = "both"
)

// Pushes reports whether events go to the external system.
func (d Direction) Pushes() bool { return d == Push || d == Both }

// Pulls reports whether events come from the external system.
func (d Direction) Pulls() bool { return d == Pull || d == Both }

// Settings are what can be changed of an adapter. Which entities it is for is
// not among them: what was passed over because nobody wanted it would count as
// delivered.
type Settings struct {
	Name     string
	URL      string
	Interval int64 // seconds
	Batch    int64 // events in one request
	Attempts int64 // until an event that the external system puts off is a dead letter
	Unsealed bool  // pushed with sealed fields
}

// Credential is what an adapter proves itself by.
type Credential struct {
	Kind   string
	Secret event.Sealed[string]
}

// The kinds of credentials.
const (
	Signature = "signature" // each request is signed as Standard Webhooks wants it
	Bearer    = "bearer"    // RFC 6750 §2.1
	Basic     = "basic"     // RFC 7617
)

// Refusal is an event of the external system that was not recorded.
type Refusal struct {
	Event, Entity event.ID
	Reason, Field string
	At            event.Position
	Time          event.Instant
}

// State is what is known of an adapter.
type State struct {
	ID           event.ID
	Organization event.ID
	Owner        event.ID
	Direction    Direction
	EntityTypes  []string
	Settings     Settings
	Credential   Credential
	Status       Status
	Reason       string                  // of a stop
	After        event.Position          // nothing up to here was ever to be pushed
	Requested    event.Position          // of the last request to run at once
	Refused      map[event.ID]Refusal    // since everything was pulled last
	GivenUp      map[event.ID]bool       // of what the external system offers
	Discarded    map[event.Position]bool // of what was to be pushed
}

// Evolve folds one fact of an adapter's stream.
func Evolve(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case Created:
		s.ID, s.Organization, s.Owner, s.Direction, s.EntityTypes, s.Status = p.Adapter, p.Organization, p.Owner, Direction(p.Direction), p.EntityTypes, Active
		s.Settings, s.After = Settings{p.Name, p.URL.Value, p.Interval, p.Batch, p.Attempts, p.Unsealed}, event.Position(p.After)
	case Changed:
		s.Owner, s.Settings = p.Owner, Settings{p.Name, p.URL.Value, p.Interval, p.Batch, p.Attempts, p.Unsealed}
	case CredentialSet:
		s.Credential = Credential{p.Kind, p.Secret}
	case Paused:
		s.Status = IsPaused
	case Stopped:
		s.Status, s.Reason = IsStopped, p.Reason
	case Resumed:
		s.Status, s.Reason, s.Owner, s.Requested = Active, "", p.Owner, f.Position
	case RunRequested:
		s.Requested = f.Position
	case Removed:
		s.Status = IsRemoved
	default:
		return settle(s, f)
	}
	return s
}

// settle folds what was said of single events.
func settle(s State, f event.Fact) State {
	switch p := f.Payload.(type) {
	case PushRewound:
		s.After, s.Requested = min(s.After, event.Position(p.After)), f.Position
		s.Discarded = maps.Clone(s.Discarded)
		maps.DeleteFunc(s.Discarded, func(at event.Position, _ bool) bool { return at > event.Position(p.After) })
	case PullRewound:
		s.Refused, s.Requested = nil, f.Position
	case Redriven:
		s.Requested = f.Position
	case Discarded:
		s.Discarded, s.Requested = with(s.Discarded, event.Position(p.Position), true), f.Position
	case EventRefused:
		s.Refused = with(s.Refused, p.Event, Refusal{p.Event, p.Entity, p.Reason, p.Field, f.Position, event.Instant(f.Time.UnixMicro())})
	case EventDiscarded:
		s.GivenUp = with(s.GivenUp, p.Event, true)
		if _, has := s.Refused[p.Event]; has {
			s.Refused = maps.Clone(s.Refused)
			delete(s.Refused, p.Event)
		}
	}
	return s
}

// with is a map with one more entry; the one before is left as it is.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	m = maps.Clone(m)
	if m == nil {
		m = map[K]V{}
	}
	m[k] = v
	return m
}

// Holds reports whether events of an entity wait for one that was refused.
func (s State) Holds(entity event.ID) bool {
	for _, r := range s.Refused {
		if r.Entity == entity && !entity.IsZero() {
			return true
		}
	}
	return false
}

// Exists returns nil unless the adapter never was, or was removed.
func (s State) Exists() error {
	if s.Status == None || s.Status == IsRemoved {
		return ErrNotFound
	}
	return nil
}

// Facts are the facts of one adapter.
func Facts(id event.ID) []decide.Facts { return []decide.Facts{{Types: types(), Stream: Stream(id)}} }

// Every are the facts of all of them.
func Every() []decide.Facts { return []decide.Facts{{Types: types()}} }

func types() []string { return entity.Types(Events()) }

// All are all adapters, by id.
type All map[event.ID]State

// EvolveAll folds one fact of Every.
func EvolveAll(a All, f event.Fact) All {
	return with(a, f.Stream.ID, Evolve(a[f.Stream.ID], f))
}

// there counts those that are not removed, of all and of one organization.
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

// Bounds.
const (
	Most        = 200 // adapters of an instance
	MostOfOne   = 50  // adapters of one organization, whose admins leave the others some
	MostRefused = 200 // events of an external system; then something is wrong with all of it
)

// Refusals.
var (
	ErrNotFound  = fault.New(fault.NotFound, "there is no such adapter")
	ErrMany      = fault.New(fault.Exhausted, "there are %d adapters already, and no more are possible", Most)
	ErrManyOfOne = fault.New(fault.Exhausted, "the organization has %d adapters already, and no more are possible", MostOfOne)
	ErrActive    = fault.New(fault.Refused, "the adapter is not paused or stopped")
	ErrPaused    = fault.New(fault.Refused, "the adapter is paused already")
	ErrStopped   = fault.New(fault.Refused, "the adapter is stopped already; resume it when what stopped it is mended")
	ErrIdle      = fault.New(fault.Refused, "the adapter is paused or stopped; resume it, and it runs at once")
	ErrOtherHost = fault.Field("endpoint_url", "a bearer token or password goes to no other host than the one that it was given for; have the adapter prove itself by a signature, change the address, then give it what the other host knows it by")
	ErrNoPush    = fault.New(fault.Refused, "the adapter pushes nothing")
	ErrNoPull    = fault.New(fault.Refused, "the adapter pulls nothing")
	ErrRefused   = fault.New(fault.NotFound, "the adapter offers no such event that was refused")
)

// manage asks for the right to say whether and where events are delivered.
func manage(a authz.Authority, organization event.ID) error {
	return a.Need(authz.ManageSubscriptions, authz.Of(organization))
}

// MayPush asks for the right to read all events of the given types, and to open
// them if they are pushed opened: nobody has pushed to them what they may not
// read, and a right that is withdrawn thins nothing out in silence.
func MayPush(a authz.Authority, organization event.ID, types []string, unsealed bool) error {
	for _, t := range types {
		p := authz.Permission{Right: authz.Read, Types: authz.EventTypes(t), Organization: organization}
		if err := a.NeedHold(p); err != nil {
			return err
		}
		if p.Right = authz.Unseal; unsealed {
			if err := a.NeedHold(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// direct asks for the right to say what goes where, and to read it oneself.
func direct(a authz.Authority, organization event.ID, d Direction, types []string, unsealed bool) error {
	if err := manage(a, organization); err != nil || !d.Pushes() {
		return err
	}
	return MayPush(a, organization, types, unsealed)
}
