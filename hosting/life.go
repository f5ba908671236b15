package hosting

import (
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/org"
)

// Create makes another instance.
type Create struct {
	Instance event.ID // fresh
	Log      event.ID // fresh
	Name     string
	Host     string
	Site     Site
}

// Creating decides Create.
var Creating = decide.Decider[All, Create]{
	Name:   "create an instance",
	Query:  func(Create) []decide.Facts { return Every() },
	Evolve: EvolveAll,
	Allow:  owner[All, Create],
	Decide: func(a All, c Create) ([]event.New, error) {
		if err := org.CheckName(c.Name); err != nil {
			return nil, err
		}
		if err := c.Site.CheckHost(c.Host); err != nil {
			return nil, err
		}
		if err := a.free(c.Host); err != nil {
			return nil, err
		}
		if a.there() >= Most {
			return nil, ErrMany
		}
		return one(c.Instance, Hosted{c.Instance, c.Log, c.Name, c.Host}), nil
	},
}

// Complete says that an instance's stores were made.
type Complete struct {
	Instance      event.ID
	CheckpointKey string
}

// Completing decides Complete; only Muniment itself gives it.
var Completing = decide.Decider[State, Complete]{
	Name:   "complete the making of an instance",
	Query:  func(c Complete) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  system[State, Complete],
	Decide: func(s State, c Complete) ([]event.New, error) {
		if s.Status == None {
			return nil, ErrNotFound
		}
		if s.Status != Making {
			return nil, nil
		}
		return one(c.Instance, Made(c)), nil
	},
}

// Suspend takes an instance out of service.
type Suspend struct{ Instance event.ID }

// Suspending decides Suspend.
var Suspending = decide.Decider[State, Suspend]{
	Name:   "suspend an instance",
	Query:  func(c Suspend) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, Suspend],
	Decide: func(s State, c Suspend) ([]event.New, error) {
		if err := s.Served(); err != nil {
			return nil, err
		}
		return one(c.Instance, Suspended(c)), nil
	},
}

// Resume ends a suspension.
type Resume struct{ Instance event.ID }

// Resuming decides Resume.
var Resuming = decide.Decider[State, Resume]{
	Name:   "resume an instance",
	Query:  func(c Resume) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, Resume],
	Decide: func(s State, c Resume) ([]event.New, error) {
		if err := s.Exists(); err != nil {
			return nil, err
		}
		if s.Status != IsSuspended {
			return nil, ErrActive
		}
		return one(c.Instance, Resumed(c)), nil
	},
}

// RequestOwnerLink asks for a set-up link for an instance's first owner.
type RequestOwnerLink struct{ Instance event.ID }

// RequestingOwnerLink decides RequestOwnerLink. Whether there may be one is for
// the instance itself to say; see setup.RenewingLink.
var RequestingOwnerLink = decide.Decider[State, RequestOwnerLink]{
	Name:   "make a set-up link for the first owner of an instance",
	Query:  func(c RequestOwnerLink) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, RequestOwnerLink],
	Decide: func(s State, c RequestOwnerLink) ([]event.New, error) {
		if err := s.Served(); err != nil {
			return nil, err
		}
		return one(c.Instance, OwnerLinkRequested(c)), nil
	},
}

// Export hands out a copy of an instance's log.
type Export struct {
	Instance event.ID
	Size     int64
	Root     [32]byte
}

// Exporting decides Export.
var Exporting = decide.Decider[State, Export]{
	Name:   "export an instance",
	Query:  func(c Export) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, Export],
	Decide: func(s State, c Export) ([]event.New, error) {
		if err := s.Exists(); err != nil {
			return nil, err
		}
		if s.Status == Making {
			return nil, ErrMaking
		}
		return one(c.Instance, Exported{c.Instance, c.Size, c.Root[:]}), nil
	},
}

// Delete destroys an instance. Size and Root are how its log ended, as seen in
// the suspension that began with the record at Suspended.
type Delete struct {
	Instance  event.ID
	Name      string // typed by whoever means it
	Suspended event.Position
	Size      int64
	Root      [32]byte
}

// Deleting decides Delete.
var Deleting = decide.Decider[State, Delete]{
	Name:   "delete an instance",
	Query:  func(c Delete) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  owner[State, Delete],
	Decide: func(s State, c Delete) ([]event.New, error) {
		switch err := s.Exists(); {
		case err != nil:
			return nil, err
		case s.Status != IsSuspended:
			return nil, ErrNotYet
		case c.Name != s.Name:
			return nil, ErrName
		case c.Suspended != s.Position:
			return nil, ErrMoved
		}
		return one(c.Instance, Deleted{c.Instance, s.Log.ID, c.Size, c.Root[:]}), nil
	},
}

// Destroy says that nothing of a deleted instance is left.
type Destroy struct{ Instance event.ID }

// Destroying decides Destroy; only Muniment itself gives it.
var Destroying = decide.Decider[State, Destroy]{
	Name:   "complete the deletion of an instance",
	Query:  func(c Destroy) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow:  system[State, Destroy],
	Decide: func(s State, c Destroy) ([]event.New, error) {
		if s.Status == IsDestroyed {
			return nil, nil
		}
		if s.Status != IsDeleted {
			return nil, ErrNotYet
		}
		return one(c.Instance, Destroyed(c)), nil
	},
}
