// Package instanceapi is the face of the instance and of the head of its log in
// the API. It decides nothing.
package instanceapi

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/ledger"
)

// Checkpoints are the signed checkpoints of the log; *ledger.Publisher.
type Checkpoints interface{ Latest() ledger.Checkpoint }

// Needs are what the service rests on besides the core. All is required.
type Needs struct {
	Instance    instance.State
	URL         string // external address
	Version     string // of the software
	Checkpoints Checkpoints
	Prover      *ledger.Prover
	VerifierKey string // of the checkpoints
	NewKey      func(algorithm string) (instance.NewKey, error)
}

// Service implements munimentv1connect.InstanceServiceHandler.
type Service struct {
	core  adapter.Core
	needs Needs
}

// New makes the service.
func New(c adapter.Core, n Needs) *Service { return &Service{c, n} }

// GetInstance answers what and where this instance is.
func (s *Service) GetInstance(ctx context.Context, req *munimentv1.GetInstanceRequest) (*munimentv1.GetInstanceResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	l := s.core.Runner.Log
	mark, err := s.core.AsOf(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	if mark == 0 {
		mark = l.Mark().Size
	}
	first, err := l.Record(ctx, 1)
	if err != nil {
		return nil, err
	}
	last, err := l.Record(ctx, mark)
	if err != nil {
		return nil, err
	}
	set, err := s.settings(ctx, mark)
	if err != nil {
		return nil, err
	}
	home := ""
	if !set.DefaultOrganization.IsZero() {
		home = set.DefaultOrganization.String()
	}
	return &munimentv1.GetInstanceResponse{Instance: &munimentv1.Instance{Id: s.needs.Instance.Instance.String(), Name: set.Name,
		DefaultOrganizationId: home, PrivacyPolicyUrl: set.Links.Privacy, TermsUrl: set.Links.Terms, SupportUrl: set.Links.Support,
		ExternalUrl: s.needs.URL, LogId: l.Generation().String(), Position: uint64(mark), PositionTime: timestamppb.New(last.Time), Created: timestamppb.New(first.Time), Version: s.needs.Version}}, nil
}

// settings are those that held at a position.
func (s *Service) settings(ctx context.Context, at event.Position) (out instance.Settings, err error) {
	q := event.OfTerm(event.StreamTerm(instance.Stream(s.needs.Instance.Instance)))
	for rec, err := range s.core.Runner.Log.ReadTo(ctx, q, 0, at) {
		if err != nil {
			return out, err
		}
		f, err := s.core.Runner.Sealer.Decode(ctx, rec)
		if err != nil {
			return out, err
		}
		out = instance.EvolveSettings(out, f)
	}
	return out, nil
}

// RenameInstance gives the instance another name.
func (s *Service) RenameInstance(ctx context.Context, req *munimentv1.RenameInstanceRequest) (*munimentv1.RenameInstanceResponse, error) {
	res, err := adapter.Run(ctx, s.core, instance.Renaming, req, instance.Rename{Instance: s.needs.Instance.Instance, Name: req.GetName()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.RenameInstanceResponse{Change: adapter.Change(res)}, nil
}

// ChangeDefaultOrganization says where new people belong.
func (s *Service) ChangeDefaultOrganization(ctx context.Context, req *munimentv1.ChangeDefaultOrganizationRequest) (*munimentv1.ChangeDefaultOrganizationResponse, error) {
	c := instance.ChangeDefaultOrganization{Instance: s.needs.Instance.Instance}
	if !req.GetNone() {
		var err error
		if c.Organization, err = adapter.ID("organization_id", req.GetOrganizationId()); err != nil {
			return nil, err
		}
	} else if req.GetOrganizationId() != "" {
		return nil, fault.Field("none", "contradicts organization_id; give one of them")
	}
	res, err := adapter.Run(ctx, s.core, instance.ChangingDefaultOrganization, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeDefaultOrganizationResponse{Change: adapter.Change(res)}, nil
}

// ChangeLinks says which pages the sign-in page leads to.
func (s *Service) ChangeLinks(ctx context.Context, req *munimentv1.ChangeLinksRequest) (*munimentv1.ChangeLinksResponse, error) {
	c := instance.ChangeLinks{Instance: s.needs.Instance.Instance, Links: instance.Links{Privacy: req.GetPrivacyPolicyUrl(), Terms: req.GetTermsUrl(), Support: req.GetSupportUrl()}}
	res, err := adapter.Run(ctx, s.core, instance.ChangingLinks, req, c)
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangeLinksResponse{Change: adapter.Change(res)}, nil
}

// GetCheckpoint answers the latest checkpoint of the log.
func (s *Service) GetCheckpoint(ctx context.Context, _ *munimentv1.GetCheckpointRequest) (*munimentv1.GetCheckpointResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	c := s.needs.Checkpoints.Latest()
	if c.Size == 0 {
		return nil, fault.New(fault.Unavailable, "there is no checkpoint yet; try again in a moment")
	}
	return &munimentv1.GetCheckpointResponse{Note: string(c.Note), Size: uint64(c.Size), RootHash: c.Root[:], VerifierKey: s.needs.VerifierKey}, nil
}

// GetConsistencyProof answers the proof that the log only grew.
func (s *Service) GetConsistencyProof(ctx context.Context, req *munimentv1.GetConsistencyProofRequest) (*munimentv1.GetConsistencyProofResponse, error) {
	if _, err := call.CallerOf(ctx); err != nil {
		return nil, err
	}
	latest := s.needs.Checkpoints.Latest().Tree
	to, err := s.at(ctx, "new_size", event.Position(req.GetNewSize()), latest)
	if err != nil {
		return nil, err
	}
	if req.GetOldSize() == 0 {
		return nil, fault.Field("old_size", "must be at least 1")
	}
	from, err := s.at(ctx, "old_size", event.Position(req.GetOldSize()), to)
	if err != nil {
		return nil, err
	}
	proof, err := s.needs.Prover.Consistency(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out := &munimentv1.GetConsistencyProofResponse{OldSize: uint64(from.Size), NewSize: uint64(to.Size)}
	for _, h := range proof {
		out.Hashes = append(out.Hashes, h[:])
	}
	return out, nil
}

// at is the tree at a size within a later tree; 0 is the later one itself.
func (s *Service) at(ctx context.Context, field string, size event.Position, later ledger.Tree) (ledger.Tree, error) {
	if size == 0 {
		return later, nil
	}
	if size > later.Size {
		return ledger.Tree{}, fault.Field(field, "is beyond %d, to which the latest checkpoint reaches", later.Size)
	}
	root, err := s.needs.Prover.Root(ctx, size, later)
	return ledger.Tree{Size: size, Root: root}, err
}
