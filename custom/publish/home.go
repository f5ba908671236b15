package publish

import (
	"muniment.dev/authz"
	"muniment.dev/event"
)

// home is the organization of a new entity: the one that its first event names.
// Without a name it is of none; or, if the publisher may not publish such events,
// of the only organization in which they may. Clients that know nothing of
// organizations publish so.
func home(who authz.Authority, e *Event) event.ID {
	if !e.Organization.IsZero() || who.MayPublish(e.Type, event.ID{}) {
		return e.Organization
	}
	var only event.ID
	for _, p := range who.Permissions(authz.Publish) {
		if !p.Types.Has(e.Type) || p.Organization == only {
			continue
		}
		if !only.IsZero() {
			return event.ID{}
		}
		only = p.Organization
	}
	return only
}
