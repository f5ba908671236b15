// Package appapi is the face of applications in the API: it translates
// requests into commands and rows into answers, makes client secrets, and
// decides nothing.
package appapi

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/credential/credentialapi"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// Service implements munimentv1connect.ApplicationServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

const idField = "application_id"

func (s *Service) now() event.Instant {
	return event.Instant(s.core.Runner.Log.Now().Truncate(time.Microsecond).UnixMicro())
}

// adds is what the requests to create an application have in common.
type adds interface {
	proto.Message
	GetProjectId() string
	GetName() string
}

// add adds an application of a type, and answers the secret that it begins with
// if it has one.
func (s *Service) add(ctx context.Context, req adds, t app.Type, set app.Settings, publicKey string) (decide.Result, string, error) {
	project, err := adapter.ID("project_id", req.GetProjectId())
	if err != nil {
		return decide.Result{}, "", err
	}
	c := app.Add{Application: event.NewID(), Project: project, Type: t, Name: req.GetName(), Settings: set, Now: s.now()}
	var secret string
	switch {
	case publicKey != "":
		c.AuthMethod = app.PrivateKeyJWT
		c.Key, err = credentialapi.NewKey("", publicKey, nil)
	case c.AuthMethod == app.ClientSecret:
		secret, c.Secret, err = credentialapi.NewSecret("", nil)
	}
	if err != nil {
		return decide.Result{}, "", err
	}
	res, err := adapter.Run(ctx, s.core, app.Adding, req, c)
	if res.Replayed {
		secret = ""
	}
	return res, secret, err
}

// CreateWebApplication registers a web application.
func (s *Service) CreateWebApplication(ctx context.Context, req *munimentv1.CreateWebApplicationRequest) (*munimentv1.CreateWebApplicationResponse, error) {
	set := app.Settings{Redirects: req.GetRedirectUris(), LogoutRedirect: req.GetPostLogoutRedirectUris(), Flow: app.Defaults(app.Web)}
	if alg, err := algorithm(req.GetIdTokenAlg()); err != nil {
		return nil, err
	} else if alg != nil {
		set.Algorithm = *alg
	}
	res, secret, err := s.add(ctx, req, app.Web, set, req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID.String()
	return &munimentv1.CreateWebApplicationResponse{Change: adapter.Change(res), ApplicationId: id, ClientId: id, ClientSecret: secret}, nil
}

// CreateSinglePageApplication registers an application that runs in the browser.
func (s *Service) CreateSinglePageApplication(ctx context.Context, req *munimentv1.CreateSinglePageApplicationRequest) (*munimentv1.CreateSinglePageApplicationResponse, error) {
	set := app.Settings{Redirects: req.GetRedirectUris(), LogoutRedirect: req.GetPostLogoutRedirectUris(), Origins: req.GetAllowedOrigins(), Flow: app.Defaults(app.SPA)}
	res, _, err := s.add(ctx, req, app.SPA, set, "")
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID.String()
	return &munimentv1.CreateSinglePageApplicationResponse{Change: adapter.Change(res), ApplicationId: id, ClientId: id}, nil
}

// CreateNativeApplication registers an application on people's own machines.
func (s *Service) CreateNativeApplication(ctx context.Context, req *munimentv1.CreateNativeApplicationRequest) (*munimentv1.CreateNativeApplicationResponse, error) {
	set := app.Settings{Redirects: req.GetRedirectUris(), LogoutRedirect: req.GetPostLogoutRedirectUris(), Flow: app.Defaults(app.Native)}
	res, _, err := s.add(ctx, req, app.Native, set, "")
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID.String()
	return &munimentv1.CreateNativeApplicationResponse{Change: adapter.Change(res), ApplicationId: id, ClientId: id}, nil
}

// CreateApiApplication registers an API that is called with tokens.
func (s *Service) CreateApiApplication(ctx context.Context, req *munimentv1.CreateApiApplicationRequest) (*munimentv1.CreateApiApplicationResponse, error) {
	res, secret, err := s.add(ctx, req, app.API, app.Settings{Flow: app.Defaults(app.API)}, req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID.String()
	return &munimentv1.CreateApiApplicationResponse{Change: adapter.Change(res), ApplicationId: id, ClientId: id, ClientSecret: secret}, nil
}

// CreateApplicationSecret gives the application one more secret.
func (s *Service) CreateApplicationSecret(ctx context.Context, req *munimentv1.CreateApplicationSecretRequest) (*munimentv1.CreateApplicationSecretResponse, error) {
	secret, n, err := credentialapi.NewSecret(req.GetName(), req.GetExpires())
	if err != nil {
		return nil, err
	}
	id, err := adapter.ID(idField, req.GetApplicationId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, app.AddingSecret, req, app.AddSecret{Application: id, Secret: n, Now: s.now()})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateApplicationSecretResponse{Change: adapter.Change(res), SecretId: n.ID.String(), ClientSecret: secret}
	if res.Replayed {
		p, err := credentialapi.Recorded[app.SecretAdded](ctx, s.core, res)
		out.ClientSecret, out.SecretId = "", p.Secret.String()
		return out, err
	}
	return out, nil
}

// RemoveApplicationSecret ends a secret.
func (s *Service) RemoveApplicationSecret(ctx context.Context, req *munimentv1.RemoveApplicationSecretRequest) (*munimentv1.RemoveApplicationSecretResponse, error) {
	secret, err := adapter.ID("secret_id", req.GetSecretId())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, app.RemovingSecret, req, idField, req.GetApplicationId(),
		func(id event.ID) app.RemoveSecret {
			return app.RemoveSecret{Application: id, Secret: secret, Now: s.now()}
		})
	return &munimentv1.RemoveApplicationSecretResponse{Change: ch}, err
}

// AddApplicationKey lets the application sign with one more key.
func (s *Service) AddApplicationKey(ctx context.Context, req *munimentv1.AddApplicationKeyRequest) (*munimentv1.AddApplicationKeyResponse, error) {
	n, err := credentialapi.NewKey(req.GetName(), req.GetPublicKey(), req.GetExpires())
	if err != nil {
		return nil, err
	}
	id, err := adapter.ID(idField, req.GetApplicationId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, app.AddingKey, req, app.AddKey{Application: id, Key: n, Now: s.now()})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.AddApplicationKeyResponse{Change: adapter.Change(res), KeyId: n.ID.String()}
	if res.Replayed {
		p, err := credentialapi.Recorded[app.KeyAdded](ctx, s.core, res)
		out.KeyId = p.Key.String()
		return out, err
	}
	return out, nil
}

// RemoveApplicationKey ends a key.
func (s *Service) RemoveApplicationKey(ctx context.Context, req *munimentv1.RemoveApplicationKeyRequest) (*munimentv1.RemoveApplicationKeyResponse, error) {
	key, err := adapter.ID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, app.RemovingKey, req, idField, req.GetApplicationId(),
		func(id event.ID) app.RemoveKey { return app.RemoveKey{Application: id, Key: key, Now: s.now()} })
	return &munimentv1.RemoveApplicationKeyResponse{Change: ch}, err
}
