package appapi_test

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// stored are the digests of an application's secrets in the log.
func stored(t *testing.T, i *instancetest.Instance, id string) (digests [][]byte) {
	t.Helper()
	s, err := decide.Read(t.Context(), i.Core.Runner, "application", app.Facts(event.MustID(id)), app.State{}, app.Evolve)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.Credentials.Secrets {
		digests = append(digests, x.Digest.Value)
	}
	return digests
}

// A secret of 256 bits is shown once; what is kept of it is its SHA-256. There
// may be several, each with a name and an end; one that is removed is gone.
func TestSecrets(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	res := instancetest.Must(i.API.Application.CreateWebApplication(ctx, i.NewApplication(i.Project(i.Org))))
	id, sum := res.GetApplicationId(), sha256.Sum256([]byte(res.GetClientSecret()))
	if len(res.GetClientSecret()) != 43 || res.GetClientId() != id || !slices.Equal(stored(t, i, id)[0], sum[:]) {
		t.Errorf("%v", res)
	}
	end := timestamppb.New(time.Now().Add(time.Hour).Truncate(time.Microsecond))
	add := &munimentv1.CreateApplicationSecretRequest{ApplicationId: id, Name: "next", Expires: end, CommandId: event.NewID().String()}
	more := instancetest.Must(i.API.Application.CreateApplicationSecret(ctx, add))
	if again := instancetest.Must(i.API.Application.CreateApplicationSecret(ctx, add)); again.GetClientSecret() != "" || again.GetSecretId() != more.GetSecretId() {
		t.Errorf("repeated: %v", again)
	}
	sum = sha256.Sum256([]byte(more.GetClientSecret()))
	if d := stored(t, i, id); len(d) != 2 || !slices.Equal(d[1], sum[:]) || more.GetClientSecret() == res.GetClientSecret() {
		t.Errorf("stored are %d", len(d))
	}
	secrets := instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id})).GetSecrets()
	if len(secrets) != 2 || secrets[0].GetExpires() != nil || secrets[1].GetName() != "next" || !secrets[1].GetExpires().AsTime().Equal(end.AsTime()) || secrets[1].GetId() != more.GetSecretId() {
		t.Errorf("%v", secrets)
	}
	instancetest.Must(i.API.Application.RemoveApplicationSecret(ctx, &munimentv1.RemoveApplicationSecretRequest{ApplicationId: id, SecretId: secrets[0].GetId()}))
	if d := stored(t, i, id); len(d) != 1 || !slices.Equal(d[0], sum[:]) {
		t.Errorf("stored are %d", len(d))
	}
	_, err := i.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: id, Expires: timestamppb.New(time.Unix(1, 0))})
	instancetest.Want(t, err, fault.Invalid, "expires")
	_, err = i.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: i.Core.Instance.CLI.String()})
	instancetest.Want(t, err, fault.Refused, "")
	_, err = i.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: i.SinglePage(i.Project(i.Org))})
	instancetest.Want(t, err, fault.Refused, "")
}

// Each kind is created with what it can have, and read as it was set; with a
// public key there is no secret.
func TestKinds(t *testing.T) {
	i := instancetest.New(t)
	ctx, project := i.AsOwner(), i.Project(i.Org)
	get := func(id string) *munimentv1.GetApplicationResponse {
		return instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id}))
	}
	if a := get(i.SinglePage(project)); a.GetApplication().GetKind() != munimentv1.ApplicationKind_APPLICATION_KIND_SINGLE_PAGE || len(a.GetSecrets()) > 0 ||
		!slices.Equal(a.GetApplication().GetAllowedOrigins(), []string{"https://spa.example.org"}) || a.GetApplication().GetClientAuthMethod() != munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_NONE {
		t.Errorf("%v", a)
	}
	req := i.NewApplication(project)
	req.PublicKey = instancetest.PublicKey
	web := instancetest.Must(i.API.Application.CreateWebApplication(ctx, req))
	a := get(web.GetApplicationId())
	if web.GetClientSecret() != "" || len(a.GetSecrets()) != 0 || len(a.GetKeys()) != 1 || a.GetKeys()[0].GetKid() != "1" || a.GetKeys()[0].GetAlgorithm() != "ES256" ||
		a.GetApplication().GetClientAuthMethod() != munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_PRIVATE_KEY_JWT {
		t.Errorf("%v %v", web, a)
	}
	api := instancetest.Must(i.API.Application.CreateApiApplication(ctx, &munimentv1.CreateApiApplicationRequest{ProjectId: project, Name: "API"}))
	if a := get(api.GetApplicationId()); len(api.GetClientSecret()) != 43 || len(a.GetSecrets()) != 1 || len(a.GetApplication().GetGrantTypes()) != 0 {
		t.Errorf("%v %v", api, a)
	}
	code := []munimentv1.GrantType{munimentv1.GrantType_GRANT_TYPE_AUTHORIZATION_CODE}
	set := &munimentv1.ChangeApplicationSettingsRequest{ApplicationId: web.GetApplicationId(), AskConsent: proto.Bool(true), GrantTypes: code,
		AccessTokenType: munimentv1.AccessTokenType_ACCESS_TOKEN_TYPE_OPAQUE, IdTokenAlg: munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256}
	instancetest.Must(i.API.Application.ChangeApplicationSettings(ctx, set))
	if b := get(web.GetApplicationId()).GetApplication(); !b.GetAskConsent() || !slices.Equal(b.GetGrantTypes(), code) || b.GetAccessTokenType() != set.GetAccessTokenType() ||
		b.GetIdTokenAlg() != set.GetIdTokenAlg() || b.GetApiAccess() || b.GetClientAuthMethod() != munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_PRIVATE_KEY_JWT {
		t.Errorf("%v", b)
	}
	for field, bad := range map[string]*munimentv1.ChangeApplicationSettingsRequest{
		"grant_types":        {GrantTypes: []munimentv1.GrantType{0}},
		"access_token_type":  {AccessTokenType: 99},
		"id_token_alg":       {IdTokenAlg: 99},
		"client_auth_method": {ClientAuthMethod: munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_NONE},
	} {
		bad.ApplicationId = web.GetApplicationId()
		_, err := i.API.Application.ChangeApplicationSettings(ctx, bad)
		instancetest.Want(t, err, fault.Invalid, field)
	}
	_, err := i.API.Application.ChangeApplicationSettings(ctx, &munimentv1.ChangeApplicationSettingsRequest{ApplicationId: web.GetApplicationId(), ClientAuthMethod: munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_CLIENT_SECRET})
	instancetest.Want(t, err, fault.Refused, "")
	instancetest.Must(i.API.Application.DeactivateApplication(ctx, &munimentv1.DeactivateApplicationRequest{ApplicationId: web.GetApplicationId()}))
	if s := get(web.GetApplicationId()).GetApplication().GetState(); s != munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED {
		t.Errorf("%v", s)
	}
}

// What is registered is what is read, matched exactly.
func TestApplications(t *testing.T) {
	i := instancetest.New(t)
	ctx, project := i.AsOwner(), i.Project(i.Org)
	req := i.NewApplication(project)
	req.IdTokenAlg, req.PostLogoutRedirectUris = munimentv1.SigningAlgorithm_SIGNING_ALGORITHM_RS256, []string{"https://app.example.org/bye"}
	id := instancetest.Must(i.API.Application.CreateWebApplication(ctx, req)).GetApplicationId()
	a := instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id})).GetApplication()
	if a.GetName() != req.GetName() || a.GetKind() != munimentv1.ApplicationKind_APPLICATION_KIND_WEB || a.GetIdTokenAlg() != req.GetIdTokenAlg() || a.GetClientId() != id ||
		!slices.Equal(a.GetRedirectUris(), req.GetRedirectUris()) || !slices.Equal(a.GetPostLogoutRedirectUris(), req.GetPostLogoutRedirectUris()) || a.GetOrganizationId() != i.Org {
		t.Errorf("%v", a)
	}
	instancetest.Must(i.API.Application.ChangeRedirectUris(ctx, &munimentv1.ChangeRedirectUrisRequest{ApplicationId: id, RedirectUris: []string{"http://localhost:1/x"}}))
	a = instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id})).GetApplication()
	if !slices.Equal(a.GetRedirectUris(), []string{"http://localhost:1/x"}) || len(a.GetPostLogoutRedirectUris()) != 0 || a.GetVersion() != 3 {
		t.Errorf("%v", a)
	}
	for _, f := range []*munimentv1.ApplicationFilter{{ProjectId: project}, {ClientId: id}, {ClientId: id, OrganizationId: i.Org}} {
		if l := instancetest.Must(i.API.Application.ListApplications(ctx, &munimentv1.ListApplicationsRequest{Filter: f})).GetApplications(); len(l) != 1 || l[0].GetId() != id {
			t.Errorf("%v: %v", f, l)
		}
	}
	req.IdTokenAlg = 99
	_, err := i.API.Application.CreateWebApplication(ctx, req)
	instancetest.Want(t, err, fault.Invalid, "id_token_alg")
	_, err = i.API.Application.ChangeRedirectUris(ctx, &munimentv1.ChangeRedirectUrisRequest{ApplicationId: id, RedirectUris: []string{"https://a.example/", "http://a.example/"}})
	instancetest.Want(t, err, fault.Invalid, "redirect_uris[1]")
	instancetest.Must(i.API.Application.RemoveApplication(ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: id}))
	state := func() munimentv1.ApplicationState {
		return instancetest.Must(i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id})).GetApplication().GetState()
	}
	in := func(s munimentv1.ApplicationState) (n int) {
		for _, a := range instancetest.Must(i.API.Application.ListApplications(ctx, &munimentv1.ListApplicationsRequest{Filter: &munimentv1.ApplicationFilter{State: s}})).GetApplications() {
			if a.GetId() == id {
				n++
			}
		}
		return n
	}
	const removed = munimentv1.ApplicationState_APPLICATION_STATE_REMOVED
	if state() != removed || in(0) != 0 || in(removed) != 1 {
		t.Errorf("removed: %v, %d and %d in the lists", state(), in(0), in(removed))
	}
	instancetest.Must(i.API.Application.RestoreApplication(ctx, &munimentv1.RestoreApplicationRequest{ApplicationId: id}))
	if state() != munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE || in(0) != 1 || in(removed) != 0 {
		t.Errorf("restored: %v, %d and %d in the lists", state(), in(0), in(removed))
	}
	_, err = i.API.Application.RestoreApplication(ctx, &munimentv1.RestoreApplicationRequest{ApplicationId: id})
	instancetest.Want(t, err, fault.Refused, "")
}
