// Package orgapi is the face of organizations in the API: it translates
// requests into commands and rows into answers, and decides nothing.
package orgapi

import (
	"context"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/org"
)

// Service implements munimentv1connect.OrganizationServiceHandler.
type Service struct {
	core     adapter.Core
	resolver Resolver
}

// Resolver looks into the DNS; *net.Resolver.
type Resolver interface {
	// LookupTXT answers the TXT records of a name. A *net.DNSError whose
	// IsNotFound is set says that there is none.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// New makes the service.
func New(c adapter.Core, r Resolver) *Service { return &Service{c, r} }

const idField = "organization_id"

// CreateOrganization adds an organization.
func (s *Service) CreateOrganization(ctx context.Context, req *munimentv1.CreateOrganizationRequest) (*munimentv1.CreateOrganizationResponse, error) {
	res, err := adapter.Run(ctx, s.core, org.Adding, req, org.Add{Organization: event.NewID(), Name: req.GetName()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.CreateOrganizationResponse{Change: adapter.Change(res), OrganizationId: res.Stream.ID.String()}, nil
}

// RenameOrganization gives an organization another name.
func (s *Service) RenameOrganization(ctx context.Context, req *munimentv1.RenameOrganizationRequest) (*munimentv1.RenameOrganizationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.Renaming, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.Rename { return org.Rename{Organization: id, Name: req.GetName()} })
	return &munimentv1.RenameOrganizationResponse{Change: ch}, err
}

// DeactivateOrganization keeps everybody in it from signing in.
func (s *Service) DeactivateOrganization(ctx context.Context, req *munimentv1.DeactivateOrganizationRequest) (*munimentv1.DeactivateOrganizationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.Deactivating, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.Deactivate { return org.Deactivate{Organization: id} })
	return &munimentv1.DeactivateOrganizationResponse{Change: ch}, err
}

// ReactivateOrganization takes it into use again.
func (s *Service) ReactivateOrganization(ctx context.Context, req *munimentv1.ReactivateOrganizationRequest) (*munimentv1.ReactivateOrganizationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.Reactivating, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.Reactivate { return org.Reactivate{Organization: id} })
	return &munimentv1.ReactivateOrganizationResponse{Change: ch}, err
}

// RemoveOrganization takes an organization away, until it is restored.
func (s *Service) RemoveOrganization(ctx context.Context, req *munimentv1.RemoveOrganizationRequest) (*munimentv1.RemoveOrganizationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.Removing, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.Remove { return org.Remove{Organization: id, Acknowledge: req.GetAcknowledge()} })
	return &munimentv1.RemoveOrganizationResponse{Change: ch}, err
}

// RestoreOrganization brings a removed organization back.
func (s *Service) RestoreOrganization(ctx context.Context, req *munimentv1.RestoreOrganizationRequest) (*munimentv1.RestoreOrganizationResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, org.Restoring, req, idField, req.GetOrganizationId(),
		func(id event.ID) org.Restore { return org.Restore{Organization: id} })
	return &munimentv1.RestoreOrganizationResponse{Change: ch}, err
}
