package appapi_test

import (
	"crypto/sha256"
	"slices"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// stored is the digest of an application's secret in the log.
func stored(t *testing.T, i *instancetest.Instance, id string) []byte {
	t.Helper()
	s, err := decide.Read(t.Context(), i.Core.Runner, "application", app.Facts(event.MustID(id)), app.State{}, app.Evolve)
	if err != nil {
		t.Fatal(err)
	}
	return s.Secret.Value
}

// A secret of 256 bits is shown once; what is kept of it is its SHA-256. The
// new one replaces it.
func TestSecrets(t *testing.T) {
	i := instancetest.New(t)
	ctx := i.AsOwner()
	res := instancetest.Must(i.API.Application.CreateWebApplication(ctx, i.NewApplication(i.Project(i.Org))))
	sum := sha256.Sum256([]byte(res.GetClientSecret()))
	if len(res.GetClientSecret()) != 43 || res.GetClientId() != res.GetApplicationId() || !slices.Equal(stored(t, i, res.GetApplicationId()), sum[:]) {
		t.Errorf("%v", res)
	}
	again := instancetest.Must(i.API.Application.RotateSecret(ctx, &munimentv1.RotateSecretRequest{ApplicationId: res.GetApplicationId()})).GetClientSecret()
	sum = sha256.Sum256([]byte(again))
	if again == res.GetClientSecret() || !slices.Equal(stored(t, i, res.GetApplicationId()), sum[:]) {
		t.Error("the new secret is not the one that is stored")
	}
	_, err := i.API.Application.RotateSecret(ctx, &munimentv1.RotateSecretRequest{ApplicationId: i.Core.Instance.CLI.String()})
	instancetest.Want(t, err, fault.Refused, "") // native
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
	if !slices.Equal(a.GetRedirectUris(), []string{"http://localhost:1/x"}) || len(a.GetPostLogoutRedirectUris()) != 0 || a.GetVersion() != 2 {
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
	_, err = i.API.Application.GetApplication(ctx, &munimentv1.GetApplicationRequest{ApplicationId: id})
	instancetest.Want(t, err, fault.NotFound, "")
}
