// Package hostingapi is the face of the hosted instances in the API of the home
// instance. It translates, has the server carry out what was recorded, and
// decides nothing.
package hostingapi

import (
	"cmp"
	"context"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/hosting"
	"muniment.dev/ledger"
	"muniment.dev/org"
	"muniment.dev/user"
)

// Owner is who a new instance is set up for.
type Owner struct {
	Organization string
	Email        string
	Names        user.Names
}

// Link is a one-time set-up link.
type Link struct {
	URL     string
	Expires time.Time
}

// Fleet runs the hosted instances.
type Fleet interface {
	// Site is what their host names must fit.
	Site() hosting.Site
	// URL is the address under which the instance of a host name is reached.
	URL(host string) string
	// Settled returns when what the log says of an instance, up to a position
	// at least, is carried out; or why that could not be done so far.
	Settled(ctx context.Context, id event.ID, upto event.Position) error
	// SetUp registers the first owner of an instance and answers their link.
	// fault.Exists if there is one, fault.Refused if the instance is not served,
	// fault.NotFound if it is destroyed.
	SetUp(ctx context.Context, id event.ID, o Owner) (Link, error)
	// RenewLink makes another link for the first owner. fault.NotFound if there
	// is none yet, setup.ErrInhabited if anybody has signed in.
	RenewLink(ctx context.Context, id event.ID) (Link, error)
	// End is how the log of a suspended instance ends.
	End(ctx context.Context, id event.ID) (ledger.State, error)
	// Export takes a snapshot of an instance's log. It must be closed.
	Export(ctx context.Context, id event.ID) (Export, error)
	// Trouble says why an instance is not as its state says; empty if it is.
	Trouble(id event.ID) string
}

// Export is a snapshot that is handed out.
type Export interface {
	// Tree is how the log in it ends.
	Tree() ledger.Tree
	// Write writes it as a file; moved is told how much of it is written.
	Write(ctx context.Context, w io.Writer, moved func(done, of int64)) error
	Close()
}

// Service implements munimentv1connect.HostedInstanceServiceHandler.
type Service struct {
	core  adapter.Core
	fleet Fleet
}

// New makes the service. Without a fleet it refuses everything.
func New(c adapter.Core, f Fleet) *Service {
	if f == nil {
		f = none{}
	}
	return &Service{c, f}
}

const idField = "instance_id"

// CreateHostedInstance makes another instance.
func (s *Service) CreateHostedInstance(ctx context.Context, req *munimentv1.CreateHostedInstanceRequest) (*munimentv1.CreateHostedInstanceResponse, error) {
	o, err := owner(req)
	if err != nil {
		return nil, err
	}
	res, err := run(ctx, s, hosting.Creating, req, hosting.Create{Instance: event.NewID(), Log: event.NewID(), Name: req.GetName(), Host: req.GetHost(), Site: s.fleet.Site()})
	if err != nil {
		return nil, err
	}
	id := res.Stream.ID
	out := &munimentv1.CreateHostedInstanceResponse{Change: adapter.Change(res), InstanceId: id.String()}
	if err := s.fleet.Settled(ctx, id, res.Last); err != nil {
		return nil, notYet(err)
	}
	l, err := s.fleet.SetUp(ctx, id, o)
	switch {
	case fault.Is(err, fault.Exists), fault.Is(err, fault.Refused), fault.Is(err, fault.NotFound): // shown already; or suspended, deleted or destroyed since
		return out, nil
	case err != nil:
		return nil, notYet(err)
	}
	out.SetupLink = link(l)
	return out, nil
}

// owner reads who a new instance is for. It is checked before anything is
// recorded: the instance could not be set up afterwards.
func owner(req *munimentv1.CreateHostedInstanceRequest) (Owner, error) {
	o := Owner{Organization: cmp.Or(req.GetOrganizationName(), req.GetName()), Email: req.GetOwnerEmail(),
		Names: user.Names{Given: cmp.Or(req.GetOwnerGivenName(), "Administrator"), Family: req.GetOwnerFamilyName()}}
	if err := user.CheckEmail(o.Email); err != nil {
		return o, fault.Field("owner_email", "%s", fault.Public(err))
	}
	if req.GetOrganizationName() != "" && org.CheckName(o.Organization) != nil {
		return o, fault.Field("organization_name", "%s", org.ErrName.Msg)
	}
	for field, name := range map[string]string{"owner_given_name": o.Names.Given, "owner_family_name": o.Names.Family} {
		if name != "" && org.CheckName(name) != nil {
			return o, fault.Field(field, "%s", org.ErrName.Msg)
		}
	}
	return o, nil
}

// notYet is the answer if something is recorded and not carried out yet.
func notYet(err error) error {
	return &fault.Error{Kind: fault.Unknown, Msg: "this is recorded and not carried out yet; it will be as soon as it can: " + fault.Public(err), Err: err}
}

func link(l Link) *munimentv1.SetupLink {
	return &munimentv1.SetupLink{Url: l.URL, Expires: timestamppb.New(l.Expires)}
}

// carry runs a command on an instance and has the server carry it out.
func carry[S, C any](ctx context.Context, s *Service, d decide.Decider[S, C], req proto.Message, id string, cmd func(event.ID) C) (*munimentv1.Change, error) {
	thing, err := adapter.ID(idField, id)
	if err != nil {
		return nil, err
	}
	res, err := run(ctx, s, d, req, cmd(thing))
	if err != nil {
		return nil, err
	}
	if err := s.fleet.Settled(ctx, thing, res.Last); err != nil {
		return nil, notYet(err)
	}
	return adapter.Change(res), nil
}

// AddHostName has an instance reached under a further name.
func (s *Service) AddHostName(ctx context.Context, req *munimentv1.AddHostNameRequest) (*munimentv1.AddHostNameResponse, error) {
	ch, err := carry(ctx, s, hosting.AddingHost, req, req.GetInstanceId(), func(id event.ID) hosting.AddHost {
		return hosting.AddHost{Instance: id, Host: req.GetHost(), Site: s.fleet.Site()}
	})
	return &munimentv1.AddHostNameResponse{Change: ch}, err
}

// RemoveHostName ends that an instance is reached under a name.
func (s *Service) RemoveHostName(ctx context.Context, req *munimentv1.RemoveHostNameRequest) (*munimentv1.RemoveHostNameResponse, error) {
	ch, err := carry(ctx, s, hosting.RemovingHost, req, req.GetInstanceId(), func(id event.ID) hosting.RemoveHost {
		return hosting.RemoveHost{Instance: id, Host: req.GetHost()}
	})
	return &munimentv1.RemoveHostNameResponse{Change: ch}, err
}

// SuspendHostedInstance takes an instance out of service.
func (s *Service) SuspendHostedInstance(ctx context.Context, req *munimentv1.SuspendHostedInstanceRequest) (*munimentv1.SuspendHostedInstanceResponse, error) {
	ch, err := carry(ctx, s, hosting.Suspending, req, req.GetInstanceId(), func(id event.ID) hosting.Suspend { return hosting.Suspend{Instance: id} })
	return &munimentv1.SuspendHostedInstanceResponse{Change: ch}, err
}

// ResumeHostedInstance ends a suspension.
func (s *Service) ResumeHostedInstance(ctx context.Context, req *munimentv1.ResumeHostedInstanceRequest) (*munimentv1.ResumeHostedInstanceResponse, error) {
	ch, err := carry(ctx, s, hosting.Resuming, req, req.GetInstanceId(), func(id event.ID) hosting.Resume { return hosting.Resume{Instance: id} })
	return &munimentv1.ResumeHostedInstanceResponse{Change: ch}, err
}

// CreateOwnerLink makes another set-up link for an instance's first owner.
func (s *Service) CreateOwnerLink(ctx context.Context, req *munimentv1.CreateOwnerLinkRequest) (*munimentv1.CreateOwnerLinkResponse, error) {
	id, err := adapter.ID(idField, req.GetInstanceId())
	if err != nil {
		return nil, err
	}
	res, err := run(ctx, s, hosting.RequestingOwnerLink, req, hosting.RequestOwnerLink{Instance: id})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateOwnerLinkResponse{Change: adapter.Change(res)}
	if res.Replayed {
		return out, nil
	}
	l, err := s.fleet.RenewLink(ctx, id)
	if fault.Is(err, fault.NotFound) {
		if l, err = s.setUp(ctx, id, req.GetOwnerEmail()); fault.Is(err, fault.Exists) {
			l, err = s.fleet.RenewLink(ctx, id)
		}
	}
	if err != nil {
		return nil, err
	}
	out.SetupLink = link(l)
	return out, nil
}

// setUp registers the first owner of an instance of which nothing but its
// stores was made before the server stopped.
func (s *Service) setUp(ctx context.Context, id event.ID, email string) (Link, error) {
	st, err := decide.Read(ctx, s.core.Runner, "hosted instance", hosting.Facts(id), hosting.State{}, hosting.Evolve)
	if err != nil {
		return Link{}, err
	}
	if user.CheckEmail(email) != nil {
		return Link{}, fault.Field("owner_email", "the server stopped before it registered the first owner; say for which address")
	}
	return s.fleet.SetUp(ctx, id, Owner{Organization: st.Name, Email: email, Names: user.Names{Given: "Administrator"}})
}

// DeleteHostedInstance destroys a suspended instance.
func (s *Service) DeleteHostedInstance(ctx context.Context, req *munimentv1.DeleteHostedInstanceRequest) (*munimentv1.DeleteHostedInstanceResponse, error) {
	id, err := adapter.ID(idField, req.GetInstanceId())
	if err != nil {
		return nil, err
	}
	env, err := s.envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	st, err := decide.Read(ctx, s.core.Runner, "hosted instance", hosting.Facts(id), hosting.State{}, hosting.Evolve)
	if err != nil {
		return nil, err
	}
	c := hosting.Delete{Instance: id, Name: req.GetName(), Suspended: st.Position}
	res, err := decide.RunPrepared(ctx, s.core.Runner, hosting.Deleting, env, c, func(c hosting.Delete) (hosting.Delete, error) {
		if st.Status != hosting.IsSuspended {
			return c, nil // and the decider says so
		}
		end, err := s.fleet.End(ctx, id)
		c.Size, c.Root = int64(end.Size), end.Root
		return c, err
	})
	if err != nil {
		return nil, err
	}
	if err := s.fleet.Settled(ctx, id, res.Last); err != nil {
		return nil, notYet(err)
	}
	return &munimentv1.DeleteHostedInstanceResponse{Change: adapter.Change(res)}, nil
}
