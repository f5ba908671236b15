package app_test

import (
	"strconv"
	"strings"
	"testing"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/org"
	"muniment.dev/project"
)

var (
	registry = event.NewRegistry(authz.Events(), instance.Events(), org.Events(), project.Events(), app.Events())

	acme   = event.MustID("0a000000000000000000000000000001")
	other  = event.MustID("0a000000000000000000000000000002")
	desk   = event.MustID("0d000000000000000000000000000001")
	web    = event.MustID("0e000000000000000000000000000001")
	native = event.MustID("0e000000000000000000000000000002")
	eve    = event.MustID("0b000000000000000000000000000003")
	asEve  = event.Actor{Kind: "user", ID: eve}
	secret = [32]byte{1}
	newer  = [32]byte{2}

	deskAdded   = event.New{Stream: project.Stream(desk), Payload: project.Added{Project: desk, Organization: acme, Name: "Desk"}}
	deskRemoved = event.New{Stream: project.Stream(desk), Payload: project.Removed{Project: desk, Organization: acme}}
	webAdded    = event.New{Stream: app.Stream(web), Payload: app.WebAdded{Application: web, Project: desk, Organization: acme, Name: "Web",
		Redirects: []string{"https://a.example/cb"}, Algorithm: "ES256", Secret: event.Seal(secret[:])}}
	nativeAdded = event.New{Stream: app.Stream(native), Payload: app.NativeAdded{Application: native, Project: desk, Organization: acme, Name: "CLI",
		Redirects: []string{"http://127.0.0.1/cb"}}}
	webRemoved = event.New{Stream: app.Stream(web), Payload: app.Removed{Application: web, Project: desk, Organization: acme}}
)

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func given(events ...event.New) []event.New { return events }

// An application belongs to a project that has not ended.
func TestAdding(t *testing.T) {
	c := app.AddWeb{Application: web, Project: desk, Name: "Web", Redirects: []string{"https://a.example/cb"}, Algorithm: "ES256", Secret: secret}
	alg, nameless := c, c
	alg.Algorithm, nameless.Name = "none", ""
	type is = decidetest.Case[app.AddWeb]
	decidetest.Run(t, registry, app.AddingWeb,
		is{Name: "once", Given: given(deskAdded), When: c, Then: []any{webAdded.Payload}},
		is{Name: "again", Given: given(deskAdded, webAdded), When: c, Kind: fault.Exists},
		is{Name: "no project", When: c, Err: project.ErrNotFound},
		is{Name: "a project that ended", Given: given(deskAdded, deskRemoved), When: c, Err: project.ErrNotFound},
		is{Name: "unsigned tokens", Given: given(deskAdded), When: alg, Err: app.ErrAlgorithm},
		is{Name: "without a name", Given: given(deskAdded), When: nameless, Err: org.ErrName},
		is{Name: "by the organization's admin", As: asEve, Given: given(deskAdded, eveIs(authz.Admin, acme)), When: c, Then: []any{webAdded.Payload}},
		is{Name: "by another's owner", As: asEve, Given: given(deskAdded, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
	)
	n := app.AddNative{Application: native, Project: desk, Name: "CLI", Redirects: []string{"http://127.0.0.1/cb"}}
	type natively = decidetest.Case[app.AddNative]
	decidetest.Run(t, registry, app.AddingNative,
		natively{Name: "once", Given: given(deskAdded), When: n, Then: []any{nativeAdded.Payload}},
		natively{Name: "again", Given: given(deskAdded, nativeAdded), When: n, Kind: fault.Exists},
		natively{Name: "no project", When: n, Err: project.ErrNotFound},
		natively{Name: "no redirect URI", Given: given(deskAdded), When: app.AddNative{Application: native, Project: desk, Name: "CLI"}, Kind: fault.Invalid},
		natively{Name: "by somebody", As: asEve, Given: given(deskAdded), When: n, Kind: fault.Denied},
	)
}

// Redirect URIs are what a browser with a code is sent to (RFC 6749 §3.1.2,
// RFC 8252 §7, RFC 9700 §2.1): nothing inexact, nothing in clear but loopback.
func TestRedirectURIs(t *testing.T) {
	many := make([]string, 21)
	for i := range many {
		many[i] = "https://a.example/" + strconv.Itoa(i)
	}
	good := [][]string{{"https://a.example/cb"}, {"https://a.example"}, {"https://a.example:8443/cb?x=1"}, {"http://127.0.0.1:9/cb"},
		{"http://localhost/cb"}, {"http://[::1]:1/cb"}, many[:20]}
	bad := [][]string{nil, {""}, {"/cb"}, {"a.example/cb"}, {"http://a.example/cb"}, {"https://a.example/#f"}, {"https://a.example/cb#"},
		{"https://u:p@a.example/"}, {"https://*.example/cb"}, {"https://a.example/ cb"}, {"javascript:alert(1)"}, {"data:text/html,x"},
		{"https:///cb"}, {"https:cb"}, {"https://a.example/\\cb"}, {"http://127.0.0.1.evil.example/"}, {"http://localhost.evil.example/"},
		{"com.example.app:/cb"}, {"https://a.example/" + strings.Repeat("x", 2000)}, {"https://a.example/", "https://a.example/"}, many}
	var cases []decidetest.Case[app.ChangeRedirectURIs]
	for i, list := range good {
		c := app.ChangeRedirectURIs{Application: web, Redirects: list, LogoutRedirect: []string{"https://b.example/bye"}}
		cases = append(cases, decidetest.Case[app.ChangeRedirectURIs]{Name: "good " + strconv.Itoa(i), Given: given(deskAdded, webAdded), When: c,
			Then: []any{app.RedirectURIsChanged{Application: web, Project: desk, Organization: acme, Redirects: list, LogoutRedirect: c.LogoutRedirect}}})
	}
	for i, list := range bad {
		cases = append(cases, decidetest.Case[app.ChangeRedirectURIs]{Name: "bad " + strconv.Itoa(i), Given: given(deskAdded, webAdded),
			When: app.ChangeRedirectURIs{Application: web, Redirects: list}, Kind: fault.Invalid})
		if list != nil {
			cases = append(cases, decidetest.Case[app.ChangeRedirectURIs]{Name: "bad after sign-out " + strconv.Itoa(i), Given: given(deskAdded, webAdded),
				When: app.ChangeRedirectURIs{Application: web, Redirects: good[0], LogoutRedirect: list}, Kind: fault.Invalid})
		}
	}
	scheme := app.ChangeRedirectURIs{Application: native, Redirects: []string{"com.example.app:/cb"}}
	type is = decidetest.Case[app.ChangeRedirectURIs]
	decidetest.Run(t, registry, app.ChangingRedirectURIs, append(cases,
		is{Name: "a native application's own scheme", Given: given(deskAdded, nativeAdded), When: scheme,
			Then: []any{app.RedirectURIsChanged{Application: native, Project: desk, Organization: acme, Redirects: scheme.Redirects}}},
		is{Name: "the same", Given: given(deskAdded, webAdded), When: app.ChangeRedirectURIs{Application: web, Redirects: []string{"https://a.example/cb"}}},
		is{Name: "absent", When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Err: app.ErrNotFound},
		is{Name: "removed", Given: given(deskAdded, webAdded, webRemoved), When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Err: app.ErrNotFound},
		is{Name: "by another's owner", As: asEve, Given: given(deskAdded, webAdded, eveIs(authz.Owner, other)),
			When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Kind: fault.Denied},
	)...)
}

// A secret can be replaced, again and again; a native application has none.
func TestEnding(t *testing.T) {
	c := app.RotateSecret{Application: web, Secret: newer}
	type rotate = decidetest.Case[app.RotateSecret]
	decidetest.Run(t, registry, app.RotatingSecret,
		rotate{Name: "once", Repeat: true, Given: given(deskAdded, webAdded), When: c,
			Then: []any{app.SecretRotated{Application: web, Project: desk, Organization: acme, Secret: event.Seal(newer[:])}}},
		rotate{Name: "absent", When: c, Err: app.ErrNotFound},
		rotate{Name: "removed", Given: given(deskAdded, webAdded, webRemoved), When: c, Err: app.ErrNotFound},
		rotate{Name: "native", Given: given(deskAdded, nativeAdded), When: app.RotateSecret{Application: native}, Err: app.ErrNoSecret},
		rotate{Name: "by a viewer", As: asEve, Given: given(deskAdded, webAdded, eveIs(authz.Viewer, acme)), When: c, Kind: fault.Denied},
	)
	type remove = decidetest.Case[app.Remove]
	end := app.Remove{Application: web}
	decidetest.Run(t, registry, app.Removing,
		remove{Name: "once", Given: given(deskAdded, webAdded), When: end, Then: []any{webRemoved.Payload}},
		remove{Name: "again", Given: given(deskAdded, webAdded, webRemoved), When: end, Err: app.ErrNotFound},
		remove{Name: "by somebody", As: asEve, Given: given(deskAdded, webAdded), When: end, Kind: fault.Denied},
	)
}

// Tokens of the command line's application open the API for whoever signs in
// with it: where they go is nobody's to change, the instance's owner included.
func TestCommandLine(t *testing.T) {
	created := event.New{Stream: instance.Stream(other), Payload: instance.Created{Instance: other, CLI: native}}
	all := given(created, deskAdded, nativeAdded, webAdded, eveIs(authz.Owner, event.ID{}))
	there := []string{"https://evil.example/cb"}
	decidetest.Run(t, registry, app.ChangingRedirectURIs,
		decidetest.Case[app.ChangeRedirectURIs]{Name: "redirected", As: asEve, Given: all, When: app.ChangeRedirectURIs{Application: native, Redirects: there}, Err: project.ErrOfInstance},
		decidetest.Case[app.ChangeRedirectURIs]{Name: "another", As: asEve, Given: all, When: app.ChangeRedirectURIs{Application: web, Redirects: there},
			Then: []any{app.RedirectURIsChanged{Application: web, Project: desk, Organization: acme, Redirects: there}}})
	decidetest.Run(t, registry, app.Removing,
		decidetest.Case[app.Remove]{Name: "removed", As: asEve, Given: all, When: app.Remove{Application: native}, Err: project.ErrOfInstance})
}
