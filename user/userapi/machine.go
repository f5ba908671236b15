package userapi

import (
	"context"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/credential/credentialapi"
	"muniment.dev/event"
	"muniment.dev/user"
)

func (s *Service) now() event.Instant {
	return event.Instant(s.core.Runner.Log.Now().Truncate(time.Microsecond).UnixMicro())
}

// CreateMachineUser gives a program an account.
func (s *Service) CreateMachineUser(ctx context.Context, req *munimentv1.CreateMachineUserRequest) (*munimentv1.CreateMachineUserResponse, error) {
	org, err := adapter.ID("organization_id", req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, user.CreatingMachine, req, user.CreateMachine{User: event.NewID(), Organization: org, Name: req.GetName(), Description: req.GetDescription()})
	if err != nil {
		return nil, err
	}
	return &munimentv1.CreateMachineUserResponse{Change: adapter.Change(res), UserId: res.Stream.ID.String()}, nil
}

// ChangeMachineUser changes what is given.
func (s *Service) ChangeMachineUser(ctx context.Context, req *munimentv1.ChangeMachineUserRequest) (*munimentv1.ChangeMachineUserResponse, error) {
	ch, err := adapter.RunOn(ctx, s.core, user.ChangingMachine, req, idField, req.GetUserId(), func(id event.ID) user.ChangeMachine {
		return user.ChangeMachine{User: id, Name: req.Name, Description: req.Description}
	})
	return &munimentv1.ChangeMachineUserResponse{Change: ch}, err
}

// CreateUserSecret gives a machine user one more secret.
func (s *Service) CreateUserSecret(ctx context.Context, req *munimentv1.CreateUserSecretRequest) (*munimentv1.CreateUserSecretResponse, error) {
	secret, n, err := credentialapi.NewSecret(req.GetName(), req.GetExpires())
	if err != nil {
		return nil, err
	}
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, user.AddingSecret, req, user.AddSecret{User: id, Secret: n, Now: s.now()})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.CreateUserSecretResponse{Change: adapter.Change(res), SecretId: n.ID.String(), ClientSecret: secret}
	if res.Replayed {
		p, err := credentialapi.Recorded[user.SecretAdded](ctx, s.core, res)
		out.ClientSecret, out.SecretId = "", p.Secret.String()
		return out, err
	}
	return out, nil
}

// RemoveUserSecret ends a secret of a machine user.
func (s *Service) RemoveUserSecret(ctx context.Context, req *munimentv1.RemoveUserSecretRequest) (*munimentv1.RemoveUserSecretResponse, error) {
	secret, err := adapter.ID("secret_id", req.GetSecretId())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, user.RemovingSecret, req, idField, req.GetUserId(), func(id event.ID) user.RemoveSecret {
		return user.RemoveSecret{User: id, Secret: secret}
	})
	return &munimentv1.RemoveUserSecretResponse{Change: ch}, err
}

// AddUserKey lets a machine user sign with one more key.
func (s *Service) AddUserKey(ctx context.Context, req *munimentv1.AddUserKeyRequest) (*munimentv1.AddUserKeyResponse, error) {
	n, err := credentialapi.NewKey(req.GetName(), req.GetPublicKey(), req.GetExpires())
	if err != nil {
		return nil, err
	}
	id, err := adapter.ID(idField, req.GetUserId())
	if err != nil {
		return nil, err
	}
	res, err := adapter.Run(ctx, s.core, user.AddingKey, req, user.AddKey{User: id, Key: n, Now: s.now()})
	if err != nil {
		return nil, err
	}
	out := &munimentv1.AddUserKeyResponse{Change: adapter.Change(res), KeyId: n.ID.String()}
	if res.Replayed {
		p, err := credentialapi.Recorded[user.KeyAdded](ctx, s.core, res)
		out.KeyId = p.Key.String()
		return out, err
	}
	return out, nil
}

// RemoveUserKey ends a key of a machine user.
func (s *Service) RemoveUserKey(ctx context.Context, req *munimentv1.RemoveUserKeyRequest) (*munimentv1.RemoveUserKeyResponse, error) {
	key, err := adapter.ID("key_id", req.GetKeyId())
	if err != nil {
		return nil, err
	}
	ch, err := adapter.RunOn(ctx, s.core, user.RemovingKey, req, idField, req.GetUserId(), func(id event.ID) user.RemoveKey {
		return user.RemoveKey{User: id, Key: key}
	})
	return &munimentv1.RemoveUserKeyResponse{Change: ch}, err
}
