package server

import (
	"context"

	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/hosting"
	"muniment.dev/org"
	"muniment.dev/project"
	"muniment.dev/user"
)

// names gives the names by which people know things, folded from the log, so
// that they are as fresh as it. It implements audit.Names.
type names struct{ core *Core }

// Name implements audit.Names.
func (n *names) Name(ctx context.Context, kind string, id event.ID) (string, event.State) {
	r := n.core.Runner
	switch kind {
	case "user":
		u, err := decide.Read(ctx, r, "user", user.Facts(id), user.Start(id), user.Evolve)
		if err != nil {
			return "", event.Absent
		}
		if u.Status == user.IsErased {
			return "", event.Erased
		}
		return u.DisplayName.Value, u.DisplayName.State
	case "organization":
		o, err := decide.Read(ctx, r, "organization", []decide.Facts{{Stream: org.Stream(id)}}, org.State{}, org.Evolve)
		return named(o.Name, err)
	case "project":
		p, err := decide.Read(ctx, r, "project", project.Facts(id), project.State{}, project.Evolve)
		return named(p.Name, err)
	case "application":
		a, err := decide.Read(ctx, r, "application", app.Facts(id), app.State{}, app.Evolve)
		return named(a.Name, err)
	case "instance":
		if id == n.core.Instance.Instance {
			return n.core.Instance.Name, event.Present
		}
		h, err := decide.Read(ctx, r, "hosted instance", hosting.Facts(id), hosting.State{}, hosting.Evolve)
		return named(h.Name, err)
	}
	return "", event.Absent
}

func named(name string, err error) (string, event.State) {
	if err != nil || name == "" {
		return "", event.Absent
	}
	return name, event.Present
}
