// Package appapi is the face of applications in the API: it translates
// requests into commands and rows into answers, makes client secrets, and
// decides nothing.
package appapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// Service implements munimentv1connect.ApplicationServiceHandler.
type Service struct{ core adapter.Core }

// New makes the service.
func New(c adapter.Core) *Service { return &Service{c} }

const idField = "application_id"

// newSecret makes a client secret of 256 random bits, and what is stored of it.
func newSecret() (secret string, digest [32]byte) {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	secret = base64.RawURLEncoding.EncodeToString(b)
	return secret, sha256.Sum256([]byte(secret))
}

// CreateWebApplication registers a web application.
func (s *Service) CreateWebApplication(ctx context.Context, req *munimentv1.CreateWebApplicationRequest) (*munimentv1.CreateWebApplicationResponse, error) {
	project, err := adapter.ID("project_id", req.GetProjectId())
	if err != nil {
		return nil, err
	}
	alg, err := algorithm(req.GetIdTokenAlg())
	if err != nil {
		return nil, err
	}
	secret, digest := newSecret()
	res, err := adapter.Run(ctx, s.core, app.AddingWeb, req, app.AddWeb{Application: event.NewID(), Project: project, Name: req.GetName(),
		Redirects: req.GetRedirectUris(), LogoutRedirect: req.GetPostLogoutRedirectUris(), Algorithm: alg, Secret: digest})
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID.String()
	resp := &munimentv1.CreateWebApplicationResponse{Change: adapter.Change(res), ApplicationId: id, ClientId: id}
	if !res.Replayed {
		resp.ClientSecret = secret
	}
	return resp, nil
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

// RotateSecret gives the application a new secret.
func (s *Service) RotateSecret(ctx context.Context, req *munimentv1.RotateSecretRequest) (*munimentv1.RotateSecretResponse, error) {
	secret, digest := newSecret()
	ch, err := adapter.RunOn(ctx, s.core, app.RotatingSecret, req, idField, req.GetApplicationId(),
		func(id event.ID) app.RotateSecret { return app.RotateSecret{Application: id, Secret: digest} })
	if err != nil {
		return nil, err
	}
	resp := &munimentv1.RotateSecretResponse{Change: ch}
	if !ch.GetReplayed() {
		resp.ClientSecret = secret
	}
	return resp, nil
}

// RemoveApplication ends an application.
func (s *Service) RemoveApplication(ctx context.Context, req *munimentv1.RemoveApplicationRequest) (*munimentv1.RemoveApplicationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, app.Removing, req, idField, req.GetApplicationId(),
		func(id event.ID) app.Remove { return app.Remove{Application: id} })
	return &munimentv1.RemoveApplicationResponse{Change: ch}, err
}

// algorithm is the JWS "alg" of RFC 7518 §3.1.
func algorithm(a munimentv1.SigningAlgorithm) (string, error) {
	switch a {
	case munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_UNSPECIFIED, munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_ES256:
		return "ES256", nil
	case munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256:
		return "RS256", nil
	}
	return "", fault.Field("id_token_alg", "there is no such algorithm")
}
