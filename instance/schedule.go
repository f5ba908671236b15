package instance

import (
	"slices"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// KeyScheduleChanged says when signing keys take their steps from now on. Keys
// that are retired already are published until the time that was said then.
type KeyScheduleChanged struct {
	Instance event.ID `event:"instance,public"`
	Every    int64    `event:"every_seconds,public"`
	Announce int64    `event:"announce_seconds,public"`
	Remain   int64    `event:"remain_seconds,public"`
}

// Schedule is when keys take their steps, in seconds.
type Schedule struct {
	Every    int64 // how long a key signs
	Announce int64 // how long it is published before
	Remain   int64 // how long it verifies afterwards: longer than any token lives
}

const (
	second = event.Instant(1_000_000)
	hour   = int64(3600)
	day    = 24 * hour
)

// LongestToken is how long a token that a signing key signs lives at most, in
// seconds, whatever a policy says.
const LongestToken = day

// DefaultSchedule holds until somebody says otherwise. A retired key remains
// long enough for ID tokens that come back as hints.
func DefaultSchedule() Schedule { return Schedule{Every: 90 * day, Announce: 7 * day, Remain: 7 * day} }

// KeySchedule is the schedule that holds.
func (s State) KeySchedule() Schedule {
	if s.schedule == (Schedule{}) {
		return DefaultSchedule()
	}
	return s.schedule
}

func (s Schedule) every() event.Instant    { return event.Instant(s.Every) * second }
func (s Schedule) announce() event.Instant { return event.Instant(s.Announce) * second }
func (s Schedule) remain() event.Instant   { return event.Instant(s.Remain) * second }

// mostKeys is how many keys of an algorithm may verify at a time: everybody
// reads them, again and again.
const mostKeys = 12

// check refuses a schedule by which a token could outlive its key, or a key
// sign that nobody knows.
func (s Schedule) check() error {
	switch {
	case s.Every < day || s.Every > 730*day:
		return fault.Field("every_seconds", "must be from %d to %d: a day to two years", day, 730*day)
	case s.Announce < hour || s.Announce > 90*day:
		return fault.Field("announce_seconds", "must be from %d to %d: applications keep the key set for a while, and a key that signs before they know it stops them", hour, 90*day)
	case s.Announce >= s.Every:
		return fault.Field("announce_seconds", "must be less than every_seconds: a key is announced while the one before signs")
	case s.Remain < LongestToken+hour || s.Remain > 365*day:
		return fault.Field("remain_seconds", "must be from %d to %d: a token lives %d seconds at most, and must not outlive the key that verifies it", LongestToken+hour, 365*day, LongestToken)
	case s.Remain/s.Every+2 > mostKeys:
		return fault.Field("remain_seconds", "must be at most %d times every_seconds: else more than %d keys would be published at a time", mostKeys-2, mostKeys)
	}
	return nil
}

// The risks of a schedule, which have to be acknowledged by name.
const (
	LongKeys     = "long-lived-keys"
	ShortNotices = "short-announcements"
)

func (s Schedule) unacknowledged(named []string) error {
	ask := func(name, why string) error {
		if slices.Contains(named, name) {
			return nil
		}
		return &fault.Error{Kind: fault.Refused, Field: "acknowledge", Msg: why + `; if that is meant, acknowledge "` + name + `"`}
	}
	if s.Every > 365*day {
		if err := ask(LongKeys, "a key that was stolen and is not missed signs for more than a year"); err != nil {
			return err
		}
	}
	if s.Announce < day {
		return ask(ShortNotices, "applications that read the key set once a day meet tokens whose key they do not know, and refuse them")
	}
	return nil
}

// ChangeKeySchedule says when signing keys take their steps.
type ChangeKeySchedule struct {
	Instance    event.ID
	Schedule    Schedule
	Acknowledge []string // names of risks
}

// ChangingKeySchedule decides ChangeKeySchedule.
var ChangingKeySchedule = decide.Decider[State, ChangeKeySchedule]{
	Name: "change the schedule of signing keys",
	Query: func(c ChangeKeySchedule) []decide.Facts {
		return []decide.Facts{{Types: []string{"instance.key-schedule.changed"}, Stream: Stream(c.Instance)}}
	},
	Evolve: Evolve,
	Allow:  administrator[State, ChangeKeySchedule],
	Decide: func(s State, c ChangeKeySchedule) ([]event.New, error) {
		if err := c.Schedule.check(); err != nil || s.KeySchedule() == c.Schedule {
			return nil, err
		}
		if err := c.Schedule.unacknowledged(c.Acknowledge); err != nil {
			return nil, err
		}
		return []event.New{{Stream: Stream(c.Instance), Payload: KeyScheduleChanged{c.Instance, c.Schedule.Every, c.Schedule.Announce, c.Schedule.Remain}}}, nil
	},
}
