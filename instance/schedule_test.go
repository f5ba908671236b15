package instance_test

import (
	"errors"
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
)

// The schedule is for who administers the instance, and is said once.
func TestChangingKeySchedule(t *testing.T) {
	const day = 86400
	s := instance.Schedule{Every: 30 * day, Announce: 2 * day, Remain: 3 * day}
	c := instance.ChangeKeySchedule{Instance: id, Schedule: s}
	changed := in(instance.KeyScheduleChanged{Instance: id, Every: s.Every, Announce: s.Announce, Remain: s.Remain})
	ofOrg := event.New{Stream: event.Stream{Kind: "member", ID: eve}, Payload: authz.MemberAdded{Member: eve, User: eve, Organization: id, Role: "owner"}}
	type is = decidetest.Case[instance.ChangeKeySchedule]
	decidetest.Run(t, registry, instance.ChangingKeySchedule,
		is{Name: "once", As: asEve, Given: []event.New{created, eveOwns}, When: c, Then: payloads(changed)},
		is{Name: "again", As: asEve, Given: []event.New{created, eveOwns, changed}, When: c},
		is{Name: "what holds anyway", Given: []event.New{created}, When: instance.ChangeKeySchedule{Instance: id, Schedule: instance.DefaultSchedule()}},
		is{Name: "back", Given: []event.New{created, changed}, When: instance.ChangeKeySchedule{Instance: id, Schedule: instance.DefaultSchedule()},
			Then: []any{instance.KeyScheduleChanged{Instance: id, Every: 90 * day, Announce: 7 * day, Remain: 7 * day}}},
		is{Name: "by somebody", As: asEve, Given: []event.New{created}, When: c, Kind: fault.Denied},
		is{Name: "by an organization's owner", As: asEve, Given: []event.New{created, ofOrg}, When: c, Kind: fault.Denied},
	)
}

// No token outlives the key that verifies it, and no key signs that nobody
// knows: want is the field at fault, or what has to be acknowledged, or nothing.
func TestScheduleBounds(t *testing.T) {
	const hour, day = 3600, 86400
	for _, c := range []struct {
		s    instance.Schedule
		want string
	}{
		{instance.Schedule{Every: 90 * day, Announce: 7 * day, Remain: 7 * day}, ""},
		{instance.Schedule{}, "every_seconds"},
		{instance.Schedule{Every: day - 1, Announce: hour, Remain: 2 * day}, "every_seconds"},
		{instance.Schedule{Every: 730*day + 1, Announce: 7 * day, Remain: 7 * day}, "every_seconds"},
		{instance.Schedule{Every: 400 * day, Announce: 7 * day, Remain: 7 * day}, instance.LongKeys},
		{instance.Schedule{Every: 90 * day, Announce: hour - 1, Remain: 7 * day}, "announce_seconds"},
		{instance.Schedule{Every: 90 * day, Announce: hour, Remain: 7 * day}, instance.ShortNotices},
		{instance.Schedule{Every: 100 * day, Announce: 91 * day, Remain: 7 * day}, "announce_seconds"},
		{instance.Schedule{Every: 7 * day, Announce: 7 * day, Remain: 7 * day}, "announce_seconds"},
		{instance.Schedule{Every: 90 * day, Announce: 7 * day, Remain: instance.LongestToken}, "remain_seconds"},
		{instance.Schedule{Every: 90 * day, Announce: 7 * day, Remain: instance.LongestToken + hour}, ""},
		{instance.Schedule{Every: 90 * day, Announce: 7 * day, Remain: 366 * day}, "remain_seconds"},
		{instance.Schedule{Every: 2 * day, Announce: day, Remain: 22 * day}, "remain_seconds"},
		{instance.Schedule{Every: 2 * day, Announce: day, Remain: 20 * day}, ""},
	} {
		cmd := instance.ChangeKeySchedule{Instance: id, Schedule: c.s}
		_, err := instance.ChangingKeySchedule.Decide(instance.State{}, cmd)
		var f *fault.Error
		errors.As(err, &f)
		switch {
		case c.want == "" && err != nil, c.want != "" && f == nil:
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		case strings.HasSuffix(c.want, "_seconds") && f.Field != c.want:
			t.Errorf("%+v: %v of %s, want %s", c.s, err, f.Field, c.want)
		case c.want != "" && !strings.HasSuffix(c.want, "_seconds"):
			if f.Kind != fault.Refused || f.Field != "acknowledge" || !strings.Contains(f.Msg, c.want) {
				t.Errorf("%+v: %v, want %s asked for", c.s, err, c.want)
			}
			cmd.Acknowledge = []string{c.want}
			if events, err := instance.ChangingKeySchedule.Decide(instance.State{}, cmd); err != nil || len(events) != 1 {
				t.Errorf("%+v, acknowledged: %v %v", c.s, events, err)
			}
		}
	}
}
