package sim

import (
	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
)

// registry is of the types that happen here.
func registry() *event.Registry {
	return event.NewRegistry(authz.Events(), instance.Events(), org.Events(), user.Events(), project.Events(),
		app.Events(), grant.Events(), session.Events())
}
