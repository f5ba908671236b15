package hosting

import (
	"maps"
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view/entity"
)

// Status is where an instance stands.
type Status string

// The states of a hosted instance. None is that of one that there never was.
const (
	None        Status = ""
	Making      Status = "making"    // recorded; its stores are being made
	Active      Status = "active"    // served
	IsSuspended Status = "suspended" // not served, nothing runs
	IsDeleted   Status = "deleted"   // being destroyed
	IsDestroyed Status = "destroyed" // gone
)

// State is what is known of one hosted instance.
type State struct {
	Instance      event.ID
	Log           event.LogID
	Name          string
	Hosts         []string // the first is the issuer's and stays
	Status        Status
	CheckpointKey string         // empty until it is made
	Position      event.Position // of the record that brought it into its status
	Last          event.Position // of the last record about it
}

// Evolve folds one fact of a hosted instance's stream.
func Evolve(s State, f event.Fact) State {
	s.Last = f.Position
	switch p := f.Payload.(type) {
	case Hosted:
		s.Instance, s.Log, s.Name, s.Hosts, s.Status = p.Instance, event.LogID{ID: p.Log}, p.Name, []string{p.Host}, Making
	case Made:
		s.Status, s.CheckpointKey = Active, p.CheckpointKey
	case HostAdded:
		s.Hosts = append(slices.Clone(s.Hosts), p.Host)
		return s
	case HostRemoved:
		s.Hosts = slices.DeleteFunc(slices.Clone(s.Hosts), func(h string) bool { return h == p.Host })
		return s
	case Suspended:
		s.Status = IsSuspended
	case Resumed:
		s.Status = Active
	case Deleted:
		s.Status = IsDeleted
	case Destroyed:
		s.Status = IsDestroyed
	default:
		return s
	}
	s.Position = f.Position
	return s
}

// Primary is the host name of the instance's issuer.
func (s State) Primary() string {
	if len(s.Hosts) == 0 {
		return ""
	}
	return s.Hosts[0]
}

// Facts are the facts of one hosted instance.
func Facts(id event.ID) []decide.Facts {
	return []decide.Facts{{Types: types(), Stream: Stream(id)}}
}

// Every are the facts of all of them.
func Every() []decide.Facts { return []decide.Facts{{Types: types()}} }

func types() []string { return entity.Types(Events()) }

// All are all hosted instances, by id.
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

// At finds the instance that has a host name; those that are destroyed have
// none.
func (a All) At(host string) (State, bool) {
	for _, s := range a {
		if s.Status != IsDestroyed && slices.Contains(s.Hosts, host) {
			return s, true
		}
	}
	return State{}, false
}

// there counts those that are not destroyed.
func (a All) there() (n int) {
	for _, s := range a {
		if s.Status != IsDestroyed {
			n++
		}
	}
	return n
}

// Refusals.
var (
	ErrNotFound  = fault.New(fault.NotFound, "there is no such hosted instance")
	ErrMaking    = fault.New(fault.Refused, "the instance is still being made; try again in a moment")
	ErrSuspended = fault.New(fault.Refused, "the instance is suspended; resume it first")
	ErrActive    = fault.New(fault.Refused, "the instance is not suspended")
	ErrNotYet    = fault.New(fault.Refused, "only a suspended instance can be deleted; suspend it first")
	ErrDeleted   = fault.New(fault.Refused, "the instance was deleted")
	ErrTaken     = &fault.Error{Kind: fault.Exists, Field: "host", Msg: "this host name is another instance's"}
	ErrOwn       = &fault.Error{Kind: fault.Exists, Field: "host", Msg: "this is the host name of this server's home instance"}
	ErrNoHost    = &fault.Error{Kind: fault.NotFound, Field: "host", Msg: "the instance does not have this host name"}
	ErrPrimary   = &fault.Error{Kind: fault.Refused, Field: "host", Msg: "the first host name is the issuer of every token of this instance and stays"}
	ErrMany      = fault.New(fault.Exhausted, "this server hosts %d instances already, and no more", Most)
	ErrManyHosts = fault.New(fault.Exhausted, "an instance has at most %d host names", MostHosts)
	ErrName      = fault.Field("name", "this is not the name of the instance; nothing was deleted")
	ErrMoved     = fault.New(fault.Conflict, "the instance was resumed meanwhile; look again")
)

// Most bounds how many instances a server hosts: each costs memory and files
// while it is served.
const Most = 200

// MostHosts bounds the host names of one instance.
const MostHosts = 20

// Exists returns nil unless the instance never was, or was deleted.
func (s State) Exists() error {
	switch s.Status {
	case None:
		return ErrNotFound
	case IsDeleted, IsDestroyed:
		return ErrDeleted
	}
	return nil
}

// Served returns nil if the instance is in use.
func (s State) Served() error {
	switch err := s.Exists(); {
	case err != nil:
		return err
	case s.Status == Making:
		return ErrMaking
	case s.Status == IsSuspended:
		return ErrSuspended
	}
	return nil
}
