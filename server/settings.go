package server

import (
	"context"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/instance"
	"muniment.dev/login"
)

// settings are what holds of the instance now.
func (s *Server) settings(ctx context.Context) (instance.Settings, error) {
	return decide.Read(ctx, s.Core.Runner, "settings of the instance", instance.SettingsFacts(s.Core.Instance.Instance), instance.Settings{}, instance.EvolveSettings)
}

func (s *Server) defaultOrganization(ctx context.Context) (event.ID, error) {
	set, err := s.settings(ctx)
	return set.DefaultOrganization, err
}

// name is how the instance is called now. It is on every page, and none fails
// for it.
func (s *Server) name(ctx context.Context) string {
	set, err := s.settings(ctx)
	if err != nil {
		return s.Core.Instance.Name
	}
	return set.Name
}

// links are the operator's pages.
func (s *Server) links(ctx context.Context) login.Links {
	set, err := s.settings(ctx)
	if err != nil {
		return login.Links{}
	}
	return login.Links(set.Links)
}
