package server

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops/metrics"
)

// Secrets and keys that end within a month are listed for whoever may see whose
// they are, that which ends first first; /metrics says when the next one does.
// What is out of use does not count.
func TestExpiringCredentials(t *testing.T) {
	m := metrics.New("test")
	w := newWorldWith(t, Extra{Passwords: quick, Observe: Observe{Metrics: m}})
	ctx, app := w.as(w.owner), w.client.GetApplicationId()
	id, _, _ := w.robot()
	in := func(days int) *timestamppb.Timestamp {
		return timestamppb.New(time.Now().Add(time.Duration(days) * 24 * time.Hour))
	}
	soon := in(3)
	must[*munimentv1.CreateApplicationSecretResponse](t)(w.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: app, Name: "late", Expires: in(40)}))
	must[*munimentv1.CreateApplicationSecretResponse](t)(w.API.Application.CreateApplicationSecret(ctx, &munimentv1.CreateApplicationSecretRequest{ApplicationId: app, Name: "second", Expires: in(20)}))
	must[*munimentv1.CreateUserSecretResponse](t)(w.API.User.CreateUserSecret(ctx, &munimentv1.CreateUserSecretRequest{UserId: id, Name: "first", Expires: soon}))
	list := func(by event.ID, req *munimentv1.ListExpiringCredentialsRequest) (names []string) {
		t.Helper()
		for {
			got := must[*munimentv1.ListExpiringCredentialsResponse](t)(w.API.Instance.ListExpiringCredentials(w.as(by), req))
			for _, c := range got.GetCredentials() {
				names = append(names, c.GetName())
			}
			if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
				return names
			}
		}
	}
	type ask = munimentv1.ListExpiringCredentialsRequest
	if got := list(w.owner, &ask{}); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("within 30 days: %q", got)
	}
	if got := list(w.owner, &ask{Days: 60, PageSize: 1}); !slices.Equal(got, []string{"first", "second", "late"}) {
		t.Errorf("within 60, page by page: %q", got)
	}
	if got := list(w.hire("nobody@example.org", 0, false), &ask{Days: 60}); got != nil {
		t.Errorf("who administers nothing sees %q", got)
	}
	_, err := w.API.Instance.ListExpiringCredentials(ctx, &ask{Days: 366})
	w.refused(fault.Invalid, "more than a year", err)
	_, err = w.API.Instance.ListExpiringCredentials(ctx, &ask{PageToken: "9"})
	w.refused(fault.Invalid, "a page that there is not", err)

	next := func() string {
		for _, line := range strings.Split(w.metrics(), "\n") {
			if v, ok := strings.CutPrefix(line, "muniment_credential_next_end_timestamp_seconds "); ok {
				f, _ := strconv.ParseFloat(v, 64)
				return strconv.FormatInt(int64(f), 10)
			}
		}
		return "missing"
	}
	if want := strconv.FormatInt(soon.GetSeconds(), 10); next() != want {
		t.Errorf("the next end is %s, want %s", next(), want)
	}
	must[*munimentv1.DeactivateUserResponse](t)(w.API.User.DeactivateUser(ctx, &munimentv1.DeactivateUserRequest{UserId: id}))
	if got := list(w.owner, &ask{}); !slices.Equal(got, []string{"second"}) || next() == strconv.FormatInt(soon.GetSeconds(), 10) {
		t.Errorf("with the machine user out of use: %q, the next at %s", got, next())
	}
	must[*munimentv1.RemoveApplicationResponse](t)(w.API.Application.RemoveApplication(ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: app}))
	if got := list(w.owner, &ask{Days: 365}); got != nil || next() != "0" {
		t.Errorf("with the application removed, too: %q, the next at %s", got, next())
	}
}
