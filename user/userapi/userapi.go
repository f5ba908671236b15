// Package userapi is the face of people in the API: it translates requests
// into commands and rows into answers, hashes passwords, makes set-up links,
// and decides nothing.
package userapi

import (
	"cmp"
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal/erasure"
	"muniment.dev/user"
)

// Needs are what the service rests on besides the core.
type Needs struct {
	// Choose checks a password that a user is to get against what is demanded
	// of it, and hashes it; signin.Service.
	Choose func(ctx context.Context, user, organization event.ID, password string, personal ...string) (user.Chosen, error)
	// CheckPassword checks the present password of a user, throttled, and
	// returns the hash that it was checked against; signin.Service.
	CheckPassword func(ctx context.Context, user event.ID, password string) (string, error)
	// SamePassword reports whether a password is that of a hash of a user,
	// throttled; signin.Service.
	SamePassword func(ctx context.Context, user event.ID, hash, password string) (bool, error)
	// NewLink makes the secret of a set-up link and its SHA-256; LinkURL is
	// where it is opened, LinkLife how long it works.
	NewLink  func(user event.ID) (secret string, digest [32]byte)
	LinkURL  func(secret string) string
	LinkLife time.Duration
	// DefaultOrganization is that of people who are registered without a word
	// about it; zero if it has to be said.
	DefaultOrganization func(context.Context) (event.ID, error)
	// Erasure says how far the erasure of a subject has come in this process.
	Erasure func(event.SubjectID) (erasure.Status, bool)
}

// Service implements munimentv1connect.UserServiceHandler.
type Service struct {
	core  adapter.Core
	needs Needs
}

// New makes the service. All of n is required.
func New(c adapter.Core, n Needs) *Service { return &Service{c, n} }

const idField = "user_id"

// CreateUser registers a person.
func (s *Service) CreateUser(ctx context.Context, req *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
	org, err := s.organization(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	c := user.Register{User: event.NewID(), Organization: org, Email: req.GetEmail(),
		Names: user.Names{Given: req.GetGivenName(), Family: req.GetFamilyName(), Display: req.GetDisplayName()}}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	var link *munimentv1.SetupLink
	res, err := decide.RunPrepared(ctx, s.core.Runner, user.Registering, env, c, func(c user.Register) (_ user.Register, err error) {
		if req.Password != nil {
			c.Chosen, err = s.needs.Choose(ctx, c.User, c.Organization, req.GetPassword(), c.Email, c.Names.Given, c.Names.Family, c.Names.Display)
			return c, err
		}
		link, c.LinkDigest, c.LinkExpires = s.newLink(c.User)
		return c, nil
	})
	if err == nil {
		err = s.samePassword(ctx, res, req.GetPassword())
	}
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateUserResponse{Change: adapter.Change(res), UserId: res.Stream.ID.String()}
	if !res.Replayed {
		out.SetupLink = link
	}
	return out, nil
}

// organization is where a person is to belong.
func (s *Service) organization(ctx context.Context, text string) (event.ID, error) {
	if text == "" {
		if id, err := s.needs.DefaultOrganization(ctx); err != nil || !id.IsZero() {
			return id, err
		}
	}
	return adapter.ID("organization_id", text)
}

// newLink makes a one-time link for a user, and what is recorded of it.
func (s *Service) newLink(id event.ID) (*munimentv1.SetupLink, [32]byte, event.Instant) {
	secret, digest := s.needs.NewLink(id)
	expires := s.core.Runner.Log.Now().Add(s.needs.LinkLife).Truncate(time.Microsecond)
	return &munimentv1.SetupLink{Url: s.needs.LinkURL(secret), Expires: timestamppb.New(expires)}, digest, event.Instant(expires.UnixMicro())
}

// CreateSetupLink makes a one-time link with which a user sets a password.
func (s *Service) CreateSetupLink(ctx context.Context, req *munimentv1.CreateSetupLinkRequest) (*munimentv1.CreateSetupLinkResponse, error) {
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	link, digest, expires := s.newLink(id)
	res, err := adapter.Run(ctx, s.core, user.CreatingSetupLink, req, user.CreateSetupLink{User: id, Digest: digest, Expires: expires})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateSetupLinkResponse{Change: adapter.Change(res)}
	if !res.Replayed {
		out.SetupLink = link
	}
	return out, nil
}

// ChangeProfile changes the names that are given.
func (s *Service) ChangeProfile(ctx context.Context, req *munimentv1.ChangeProfileRequest) (*munimentv1.ChangeProfileResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.ChangingProfile, req, idField, req.GetUserId(), func(id event.ID) user.ChangeProfile {
		return user.ChangeProfile{User: id, Given: req.GivenName, Family: req.FamilyName, Display: req.DisplayName}
	})
	return &munimentv1.ChangeProfileResponse{Change: ch}, err
}

// ChangeEmail gives a user another e-mail address.
func (s *Service) ChangeEmail(ctx context.Context, req *munimentv1.ChangeEmailRequest) (*munimentv1.ChangeEmailResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.ChangingEmail, req, idField, req.GetUserId(), func(id event.ID) user.ChangeEmail {
		return user.ChangeEmail{User: id, Email: req.GetEmail()}
	})
	return &munimentv1.ChangeEmailResponse{Change: ch}, err
}

// SetPassword gives a user a new password, as an administrator.
func (s *Service) SetPassword(ctx context.Context, req *munimentv1.SetPasswordRequest) (*munimentv1.SetPasswordResponse, error) {
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	home, err := s.home(ctx, id)
	if err != nil {
		return nil, err
	}
	cmd := user.SetPassword{User: id, Organization: home}
	res, err := decide.RunPrepared(ctx, s.core.Runner, user.SettingPassword, env, cmd, func(c user.SetPassword) (user.SetPassword, error) {
		var err error
		c.Chosen, err = s.needs.Choose(ctx, id, home, req.GetPassword())
		return c, err
	})
	if err == nil {
		err = s.samePassword(ctx, res, req.GetPassword())
	}
	if err != nil {
		return nil, err
	}
	return &munimentv1.SetPasswordResponse{Change: adapter.Change(res)}, nil
}

// ChangePassword changes the caller's own password.
func (s *Service) ChangePassword(ctx context.Context, req *munimentv1.ChangePasswordRequest) (*munimentv1.ChangePasswordResponse, error) {
	caller, err := call.CallerOf(ctx)
	if err != nil {
		return nil, err
	}
	env, err := call.Envelope(ctx, req)
	if err != nil {
		return nil, err
	}
	res, ok, err := s.core.Runner.Earlier(ctx, env)
	if err != nil {
		return nil, err
	}
	if !ok {
		res, err = s.changeOwn(ctx, env, caller.ID, req)
	}
	if err == nil {
		err = s.samePassword(ctx, res, req.GetNewPassword())
	}
	if err != nil {
		return nil, err
	}
	return &munimentv1.ChangePasswordResponse{Change: adapter.Change(res)}, nil
}

func (s *Service) changeOwn(ctx context.Context, env decide.Envelope, id event.ID, req *munimentv1.ChangePasswordRequest) (decide.Result, error) {
	was, err := s.needs.CheckPassword(ctx, id, req.GetOldPassword())
	if err != nil {
		return decide.Result{}, err
	}
	home, err := s.home(ctx, id)
	if err != nil {
		return decide.Result{}, err
	}
	chosen, err := s.needs.Choose(ctx, id, home, req.GetNewPassword())
	if err != nil {
		return decide.Result{}, inField("new_password", err)
	}
	res, err := decide.Run(ctx, s.core.Runner, user.SettingPassword, env, user.SetPassword{User: id, Organization: home, Chosen: chosen, Was: was})
	return res, inField("new_password", err)
}

// home is the organization of a user, whose policy holds; zero if there is no
// such user.
func (s *Service) home(ctx context.Context, id event.ID) (event.ID, error) {
	u, err := decide.Read(ctx, s.core.Runner, "user", user.Facts(id), user.Start(id), user.Evolve)
	return u.Organization, err
}

// inField names the field of the request that an Invalid fault is about.
func inField(field string, err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind == fault.Invalid {
		return fault.Field(field, "%s", f.Msg)
	}
	return err
}

// samePassword refuses to repeat a command with another password than the one
// that it set: passwords are no part of what is compared before (package call).
func (s *Service) samePassword(ctx context.Context, res decide.Result, password string) error {
	if !res.Replayed || password == "" {
		return nil
	}
	for p := res.First; p <= res.Last; p++ {
		rec, err := s.core.Runner.Log.Record(ctx, p)
		if err != nil {
			return err
		}
		f, err := s.core.Runner.Sealer.Decode(ctx, rec)
		if err != nil {
			return err
		}
		set, _ := f.Payload.(user.PasswordSet)
		hash, there := set.Hash.Get()
		if !there { // another event; or the person was erased since
			continue
		}
		if same, err := s.needs.SamePassword(ctx, set.User, hash, password); err != nil || !same {
			return cmp.Or(err, error(eventlog.ErrCommandReused))
		}
	}
	return nil
}

// LockUser keeps a user from signing in.
func (s *Service) LockUser(ctx context.Context, req *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.Locking, req, idField, req.GetUserId(), func(id event.ID) user.Lock { return user.Lock{User: id} })
	return &munimentv1.LockUserResponse{Change: ch}, err
}

// UnlockUser lets a locked user sign in again.
func (s *Service) UnlockUser(ctx context.Context, req *munimentv1.UnlockUserRequest) (*munimentv1.UnlockUserResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.Unlocking, req, idField, req.GetUserId(), func(id event.ID) user.Unlock { return user.Unlock{User: id} })
	return &munimentv1.UnlockUserResponse{Change: ch}, err
}

// EndLockout ends a lockout after wrong passwords before its time.
func (s *Service) EndLockout(ctx context.Context, req *munimentv1.EndLockoutRequest) (*munimentv1.EndLockoutResponse, error) {
	now := event.Instant(s.core.Runner.Log.Now().UnixMicro())
	ch, err := adapter.RunOn(ctx, s.core, user.EndingLockout, req, idField, req.GetUserId(), func(id event.ID) user.EndLockout { return user.EndLockout{User: id, Now: now} })
	return &munimentv1.EndLockoutResponse{Change: ch}, err
}

// DeactivateUser takes an account out of use.
func (s *Service) DeactivateUser(ctx context.Context, req *munimentv1.DeactivateUserRequest) (*munimentv1.DeactivateUserResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.Deactivating, req, idField, req.GetUserId(), func(id event.ID) user.Deactivate { return user.Deactivate{User: id} })
	return &munimentv1.DeactivateUserResponse{Change: ch}, err
}

// ReactivateUser takes a deactivated account into use again.
func (s *Service) ReactivateUser(ctx context.Context, req *munimentv1.ReactivateUserRequest) (*munimentv1.ReactivateUserResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.Reactivating, req, idField, req.GetUserId(), func(id event.ID) user.Reactivate { return user.Reactivate{User: id} })
	return &munimentv1.ReactivateUserResponse{Change: ch}, err
}
