package server

import (
	"net/url"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/oidc"
)

// What a removal ended stays ended: after the project or the application came
// back, tokens of before are good for nothing, secrets prove it again, and
// people sign in anew.
func TestRestoredApplication(t *testing.T) {
	w := newWorld(t)
	ctx, app := w.as(w.owner), w.client.GetApplicationId()
	c := w.browser()
	for name, step := range map[string]struct{ remove, restore func() }{
		"application": {
			func() {
				must[*munimentv1.RemoveApplicationResponse](t)(w.API.Application.RemoveApplication(ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: app}))
			},
			func() {
				must[*munimentv1.RestoreApplicationResponse](t)(w.API.Application.RestoreApplication(ctx, &munimentv1.RestoreApplicationRequest{ApplicationId: app}))
			},
		},
		"project": {
			func() {
				must[*munimentv1.RemoveProjectResponse](t)(w.API.Project.RemoveProject(ctx, &munimentv1.RemoveProjectRequest{ProjectId: w.project}))
			},
			func() {
				must[*munimentv1.RestoreProjectResponse](t)(w.API.Project.RestoreProject(ctx, &munimentv1.RestoreProjectRequest{ProjectId: w.project}))
			},
		},
	} {
		m := w.offline(c)
		step.remove()
		if status, _ := w.refresh(m["refresh_token"]); status != 401 {
			t.Errorf("%s removed: %d", name, status)
		}
		step.restore()
		if status, said := w.refresh(m["refresh_token"]); status != 400 || said["error"] != "invalid_grant" {
			t.Errorf("%s restored, a refresh token of before: %d %v", name, status, said)
		}
		status, said := w.post(oidc.PathIntrospect, url.Values{"token": {m["access_token"].(string)}})
		if status != 200 || said["active"] != false {
			t.Errorf("%s restored, an access token of before: %d %v", name, status, said)
		}
		if again := w.offline(c); again["access_token"] == nil {
			t.Errorf("%s restored: %v", name, again)
		}
	}
}
