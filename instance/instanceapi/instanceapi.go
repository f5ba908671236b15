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
	NewKey      func(algorithm string) (instance.NewKey, error)
	Schedule    instance.Schedule // of signing keys
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
	return &munimentv1.GetInstanceResponse{Instance: &munimentv1.Instance{Id: s.needs.Instance.Instance.String(), Name: s.needs.Instance.Name,
		ExternalUrl: s.needs.URL, LogId: l.ID().String(), Position: uint64(mark), PositionTime: timestamppb.New(last.Time), Created: timestamppb.New(first.Time), Version: s.needs.Version}}, nil
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
	return &munimentv1.GetCheckpointResponse{Note: string(c.Note), Size: uint64(c.Size), RootHash: c.Root[:], VerifierKey: s.needs.Instance.CheckpointKey}, nil
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
