package appapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// RenameApplication gives an application another name.
func (s *Service) RenameApplication(ctx context.Context, req *munimentv1.RenameApplicationRequest) (*munimentv1.RenameApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Renaming, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Rename { return app.Rename{Application: id, Name: req.GetName()} })
	return &munimentv1.RenameApplicationResponse{Change: ch}, err
}

// ChangeRedirectUris replaces the addresses that the application may be
// returned to.
func (s *Service) ChangeRedirectUris(ctx context.Context, req *munimentv1.ChangeRedirectUrisRequest) (*munimentv1.ChangeRedirectUrisResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.ChangingRedirectURIs, req, idField, req.GetApplicationId(),
		func(id event.ID) app.ChangeRedirectURIs {
			return app.ChangeRedirectURIs{Application: id, Redirects: req.GetRedirectUris(), LogoutRedirect: req.GetPostLogoutRedirectUris()}
		})
	return &munimentv1.ChangeRedirectUrisResponse{Change: ch}, err
}

// ChangeAllowedOrigins replaces the origins from which the application calls.
func (s *Service) ChangeAllowedOrigins(ctx context.Context, req *munimentv1.ChangeAllowedOriginsRequest) (*munimentv1.ChangeAllowedOriginsResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.ChangingOrigins, req, idField, req.GetApplicationId(),
		func(id event.ID) app.ChangeOrigins {
			return app.ChangeOrigins{Application: id, Origins: req.GetAllowedOrigins()}
		})
	return &munimentv1.ChangeAllowedOriginsResponse{Change: ch}, err
}

// ChangeApplicationSettings changes the settings that are given.
func (s *Service) ChangeApplicationSettings(ctx context.Context, req *munimentv1.ChangeApplicationSettingsRequest) (*munimentv1.ChangeApplicationSettingsResponse, error) {
	c := app.ChangeSettings{AskConsent: req.AskConsent, APIAccess: req.ApiAccess, Now: s.now()}
	for _, g := range req.GetGrantTypes() {
		name, err := chosen("grant_types", grantTypes, g)
		if err != nil || name == nil {
			return nil, app.ErrGrantType
		}
		c.GrantTypes = append(c.GrantTypes, *name)
	}
	var err error
	if c.AccessTokenType, err = chosen("access_token_type", tokenTypes, req.GetAccessTokenType()); err != nil {
		return nil, err
	}
	if c.AuthMethod, err = chosen("client_auth_method", authMethods, req.GetClientAuthMethod()); err != nil {
		return nil, err
	}
	if c.Algorithm, err = algorithm(req.GetIdTokenAlg()); err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, app.ChangingSettings, req, idField, req.GetApplicationId(),
		func(id event.ID) app.ChangeSettings { c.Application = id; return c })
	return &munimentv1.ChangeApplicationSettingsResponse{Change: ch}, err
}

// DeactivateApplication takes an application out of use.
func (s *Service) DeactivateApplication(ctx context.Context, req *munimentv1.DeactivateApplicationRequest) (*munimentv1.DeactivateApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Deactivating, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Deactivate { return app.Deactivate{Application: id} })
	return &munimentv1.DeactivateApplicationResponse{Change: ch}, err
}

// ReactivateApplication takes it into use again.
func (s *Service) ReactivateApplication(ctx context.Context, req *munimentv1.ReactivateApplicationRequest) (*munimentv1.ReactivateApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Reactivating, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Reactivate { return app.Reactivate{Application: id} })
	return &munimentv1.ReactivateApplicationResponse{Change: ch}, err
}

// RemoveApplication ends an application.
func (s *Service) RemoveApplication(ctx context.Context, req *munimentv1.RemoveApplicationRequest) (*munimentv1.RemoveApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Removing, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Remove { return app.Remove{Application: id} })
	return &munimentv1.RemoveApplicationResponse{Change: ch}, err
}

// RestoreApplication brings a removed application back.
func (s *Service) RestoreApplication(ctx context.Context, req *munimentv1.RestoreApplicationRequest) (*munimentv1.RestoreApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Restoring, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Restore { return app.Restore{Application: id} })
	return &munimentv1.RestoreApplicationResponse{Change: ch}, err
}

// The names of choices in the slice and in the API.
var (
	kinds = map[munimentv1.ApplicationKind]string{
		munimentv1.ApplicationKind_APPLICATION_KIND_WEB:         string(app.Web),
		munimentv1.ApplicationKind_APPLICATION_KIND_NATIVE:      string(app.Native),
		munimentv1.ApplicationKind_APPLICATION_KIND_SINGLE_PAGE: string(app.SPA),
		munimentv1.ApplicationKind_APPLICATION_KIND_API:         string(app.API),
	}
	algorithms = map[munimentv1.SigningAlgorithm]string{ // RFC 7518 §3.1
		munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_ES256: "ES256",
		munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256: "RS256",
	}
	grantTypes = map[munimentv1.GrantType]string{
		munimentv1.GrantType_GRANT_TYPE_AUTHORIZATION_CODE: app.AuthorizationCode,
		munimentv1.GrantType_GRANT_TYPE_REFRESH_TOKEN:      app.RefreshToken,
	}
	tokenTypes = map[munimentv1.AccessTokenType]string{
		munimentv1.AccessTokenType_ACCESS_TOKEN_TYPE_JWT:    app.JWT,
		munimentv1.AccessTokenType_ACCESS_TOKEN_TYPE_OPAQUE: app.Opaque,
	}
	authMethods = map[munimentv1.ClientAuthMethod]string{
		munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_CLIENT_SECRET:   app.ClientSecret,
		munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_PRIVATE_KEY_JWT: app.PrivateKeyJWT,
		munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_NONE:            app.NoAuth,
	}
)

// chosen is the slice's name of a choice; nil if none was made.
func chosen[E ~int32](field string, names map[E]string, e E) (*string, error) {
	if e == 0 {
		return nil, nil
	}
	name, ok := names[e]
	if !ok {
		return nil, fault.Field(field, "there is no such choice")
	}
	return &name, nil
}

func algorithm(a munimentv1.SigningAlgorithm) (*string, error) {
	return chosen("id_token_alg", algorithms, a)
}

// choice is the API's name of what the slice calls name.
func choice[E ~int32](names map[E]string, name string) E {
	for e, n := range names {
		if n == name {
			return e
		}
	}
	return 0
}
