package app_test

import (
	"strconv"
	"strings"
	"testing"

	"muniment.dev/app"
	"muniment.dev/authz"
	"muniment.dev/credential"
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
	spa    = event.MustID("0e000000000000000000000000000003")
	api    = event.MustID("0e000000000000000000000000000004")
	first  = event.MustID("0f000000000000000000000000000001")
	second = event.MustID("0f000000000000000000000000000002")
	eve    = event.MustID("0b000000000000000000000000000003")
	asEve  = event.Actor{Kind: "user", ID: eve}
	digest = [32]byte{1}

	deskAdded    = event.New{Stream: project.Stream(desk), Payload: project.Added{Project: desk, Organization: acme, Name: "Desk"}}
	deskRemoved  = event.New{Stream: project.Stream(desk), Payload: project.Removed{Project: desk, Organization: acme}}
	webAdded     = added(web, app.Web, app.Settings{Redirects: []string{"https://a.example/cb"}})
	nativeAdded  = added(native, app.Native, app.Settings{Redirects: []string{"http://127.0.0.1/cb"}})
	spaAdded     = added(spa, app.SPA, app.Settings{Redirects: []string{"https://a.example/cb"}, Origins: []string{"https://a.example"}})
	apiAdded     = added(api, app.API, app.Settings{})
	firstAdded   = event.New{Stream: app.Stream(web), Payload: app.SecretAdded{Application: web, Project: desk, Organization: acme, Secret: first, Digest: event.Seal(digest[:])}}
	firstRemoved = event.New{Stream: app.Stream(web), Payload: app.SecretRemoved{Application: web, Project: desk, Organization: acme, Secret: first}}
	webOut       = event.New{Stream: app.Stream(web), Payload: app.Deactivated{Application: web, Project: desk, Organization: acme}}
	webIn        = event.New{Stream: app.Stream(web), Payload: app.Reactivated{Application: web, Project: desk, Organization: acme}}
	webRemoved   = event.New{Stream: app.Stream(web), Payload: app.Removed{Application: web, Project: desk, Organization: acme}}
)

const now event.Instant = 1_000_000

// added is what adding an application of a type with the defaults leaves.
func added(id event.ID, t app.Type, s app.Settings) event.New {
	s.Flow = app.Defaults(t)
	return event.New{Stream: app.Stream(id), Payload: app.Added{Application: id, Project: desk, Organization: acme, Type: string(t), Name: "App", Redirects: s.Redirects,
		LogoutRedirect: s.LogoutRedirect, Origins: s.Origins, GrantTypes: s.GrantTypes, AccessTokenType: s.AccessTokenType, AskConsent: s.AskConsent, Algorithm: s.Algorithm, AuthMethod: s.AuthMethod}}
}

func eveIs(role authz.Role, organization event.ID) event.New {
	return event.New{Stream: event.Stream{Kind: "member", ID: eve},
		Payload: authz.MemberAdded{Member: eve, User: eve, Organization: organization, Role: string(role)}}
}

func given(events ...event.New) []event.New { return events }

// add is a command to add an application of a type, changed.
func add(id event.ID, t app.Type, redirects []string, edit ...func(*app.Add)) app.Add {
	c := app.Add{Application: id, Project: desk, Type: t, Name: "App", Settings: app.Settings{Redirects: redirects, Flow: app.Defaults(t)}, Now: now}
	if t.Confidential() {
		c.Secret = credential.NewSecret{ID: first, Digest: digest}
	}
	for _, e := range edit {
		e(&c)
	}
	return c
}

// An application belongs to a project that has not ended, and begins with what
// its type can have (RFC 6749 §2.1): nothing that weakens it.
func TestAdding(t *testing.T) {
	cb := []string{"https://a.example/cb"}
	c := add(web, app.Web, cb)
	flow := func(edit func(*app.Flow)) app.Add { return add(web, app.Web, cb, func(c *app.Add) { edit(&c.Flow) }) }
	type is = decidetest.Case[app.Add]
	decidetest.Run(t, registry, app.Adding,
		is{Name: "web, with a secret", Given: given(deskAdded), When: c, Then: []any{webAdded.Payload, firstAdded.Payload}},
		is{Name: "native, without", Given: given(deskAdded), When: add(native, app.Native, []string{"http://127.0.0.1/cb"}), Then: []any{nativeAdded.Payload}},
		is{Name: "single-page, with the origins of its addresses", Given: given(deskAdded), When: add(spa, app.SPA, cb), Then: []any{spaAdded.Payload}},
		is{Name: "API, with a secret and nowhere to return to", Given: given(deskAdded), When: add(api, app.API, nil),
			Then: []any{apiAdded.Payload, app.SecretAdded{Application: api, Project: desk, Organization: acme, Secret: first, Digest: event.Seal(digest[:])}}},
		is{Name: "again", Given: given(deskAdded, webAdded), When: c, Kind: fault.Exists},
		is{Name: "no project", When: c, Err: project.ErrNotFound},
		is{Name: "a project that ended", Given: given(deskAdded, deskRemoved), When: c, Err: project.ErrNotFound},
		is{Name: "without a name", Given: given(deskAdded), When: add(web, app.Web, cb, func(c *app.Add) { c.Name = "" }), Err: org.ErrName},
		is{Name: "without an address", Given: given(deskAdded), When: add(native, app.Native, nil), Kind: fault.Invalid},
		is{Name: "an API with an address", Given: given(deskAdded), When: add(api, app.API, cb), Kind: fault.Invalid},
		is{Name: "no such type", Given: given(deskAdded), When: add(web, "desktop", cb), Err: app.ErrType},
		is{Name: "unsigned ID tokens", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.Algorithm = "none" }), Err: app.ErrAlgorithm},
		is{Name: "confidential, without proof", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.AuthMethod = app.NoAuth }), Err: app.ErrConfidential},
		is{Name: "public, with a secret", Given: given(deskAdded), When: add(spa, app.SPA, cb, func(c *app.Add) { c.AuthMethod = app.ClientSecret }), Err: app.ErrPublic},
		is{Name: "implicit (RFC 9700 §2.1.2)", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.GrantTypes = []string{"authorization_code", "implicit"} }), Err: app.ErrGrantType},
		is{Name: "password (RFC 9700 §2.4)", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.GrantTypes = []string{"password"} }), Err: app.ErrGrantType},
		is{Name: "refresh only", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.GrantTypes = []string{"refresh_token"} }), Err: app.ErrNoCode},
		is{Name: "an API that gets tokens", Given: given(deskAdded), When: add(api, app.API, nil, func(c *app.Add) { c.GrantTypes = []string{"authorization_code"} }), Err: app.ErrNoGrants},
		is{Name: "an unknown type of token", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.AccessTokenType = "saml" }), Err: app.ErrTokenType},
		is{Name: "private_key_jwt without a key", Given: given(deskAdded), When: flow(func(f *app.Flow) { f.AuthMethod = app.PrivateKeyJWT }), Kind: fault.Invalid},
		is{Name: "by the organization's admin", As: asEve, Given: given(deskAdded, eveIs(authz.Admin, acme)), When: c, Then: []any{webAdded.Payload, firstAdded.Payload}},
		is{Name: "by another's owner", As: asEve, Given: given(deskAdded, eveIs(authz.Owner, other)), When: c, Kind: fault.Denied},
		is{Name: "by somebody", As: asEve, Given: given(deskAdded), When: c, Kind: fault.Denied},
		is{Name: "that opens the API, by the organization's owner", As: asEve, Given: given(deskAdded, eveIs(authz.Owner, acme)), When: flow(func(f *app.Flow) { f.APIAccess = true }), Kind: fault.Denied},
	)
}

// Redirect URIs are what a browser with a code is sent to (RFC 6749 §3.1.2,
// RFC 8252 §7, RFC 9700 §2.1): nothing inexact, nothing in clear but loopback.
func TestRedirectURIs(t *testing.T) {
	many := make([]string, 21)
	for i := range many {
		many[i] = "https://a.example/" + strconv.Itoa(i)
	}
	good := [][]string{{"https://a.example/cb2"}, {"https://a.example"}, {"https://a.example:8443/cb?x=1"}, {"http://127.0.0.1:9/cb"},
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
		is{Name: "an API's", Given: given(deskAdded, apiAdded), When: app.ChangeRedirectURIs{Application: api, Redirects: good[0]}, Kind: fault.Invalid},
		is{Name: "the same", Given: given(deskAdded, webAdded), When: app.ChangeRedirectURIs{Application: web, Redirects: []string{"https://a.example/cb"}}},
		is{Name: "absent", When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Err: app.ErrNotFound},
		is{Name: "removed", Given: given(deskAdded, webAdded, webRemoved), When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Err: app.ErrRemoved},
		is{Name: "by another's owner", As: asEve, Given: given(deskAdded, webAdded, eveIs(authz.Owner, other)),
			When: app.ChangeRedirectURIs{Application: web, Redirects: good[0]}, Kind: fault.Denied},
	)...)
}

// An origin has exactly the form in which browsers send it (RFC 6454 §6.2), and
// there are no patterns.
func TestOrigins(t *testing.T) {
	type is = decidetest.Case[app.ChangeOrigins]
	change := func(origins ...string) app.ChangeOrigins {
		return app.ChangeOrigins{Application: spa, Origins: origins}
	}
	var cases []is
	for _, bad := range []string{"*", "https://*.example", "null", "https://a.example/", "https://a.example/x", "http://a.example", "a.example", "https://A.example",
		"https://a.example:443", "http://127.0.0.1:80", "https://u@a.example", "https://a.example?x", "com.example.app:", "", "file://"} {
		cases = append(cases, is{Name: "bad " + bad, Given: given(deskAdded, spaAdded), When: change(bad), Kind: fault.Invalid})
	}
	for _, good := range []string{"https://b.example", "https://b.example:8443", "http://127.0.0.1:5173", "http://localhost"} {
		cases = append(cases, is{Name: "good " + good, Given: given(deskAdded, spaAdded), When: change(good),
			Then: []any{app.OriginsChanged{Application: spa, Project: desk, Organization: acme, Origins: []string{good}}}})
	}
	decidetest.Run(t, registry, app.ChangingOrigins, append(cases,
		is{Name: "none", Given: given(deskAdded, spaAdded), When: change(), Kind: fault.Invalid},
		is{Name: "twice", Given: given(deskAdded, spaAdded), When: change("https://b.example", "https://b.example"), Kind: fault.Invalid},
		is{Name: "the same", Given: given(deskAdded, spaAdded), When: change("https://a.example")},
		is{Name: "of a web application", Given: given(deskAdded, webAdded), When: app.ChangeOrigins{Application: web, Origins: []string{"https://b.example"}}, Kind: fault.Invalid},
		is{Name: "absent", When: change("https://b.example"), Err: app.ErrNotFound},
	)...)
}

// Settings change one by one; what would weaken the application or stop it, is
// refused.
func TestSettings(t *testing.T) {
	changed := func(edit func(*app.SettingsChanged)) []any {
		f := app.Defaults(app.Web)
		e := app.SettingsChanged{Application: web, Project: desk, Organization: acme, GrantTypes: f.GrantTypes, AccessTokenType: f.AccessTokenType, Algorithm: f.Algorithm, AuthMethod: f.AuthMethod}
		edit(&e)
		return []any{e}
	}
	to := func(edit func(*app.ChangeSettings)) app.ChangeSettings {
		c := app.ChangeSettings{Application: web, Now: now}
		edit(&c)
		return c
	}
	str := func(s string) *string { return &s }
	yes, no := true, false
	key := event.New{Stream: app.Stream(web), Payload: app.KeyAdded{Application: web, Project: desk, Organization: acme, Key: second, KeyID: "k", Algorithm: "ES256", JWK: "{}", Expires: now + 1}}
	byKey := to(func(c *app.ChangeSettings) { c.AuthMethod = str(app.PrivateKeyJWT) })
	late := byKey
	late.Now = now + 1
	opens := to(func(c *app.ChangeSettings) { c.APIAccess = &yes })
	type is = decidetest.Case[app.ChangeSettings]
	all := given(deskAdded, webAdded, firstAdded)
	decidetest.Run(t, registry, app.ChangingSettings,
		is{Name: "no refresh tokens", Given: all, When: to(func(c *app.ChangeSettings) { c.GrantTypes = []string{"authorization_code"} }),
			Then: changed(func(e *app.SettingsChanged) { e.GrantTypes = []string{"authorization_code"} })},
		is{Name: "opaque", Given: all, When: to(func(c *app.ChangeSettings) { c.AccessTokenType = str(app.Opaque) }), Then: changed(func(e *app.SettingsChanged) { e.AccessTokenType = app.Opaque })},
		is{Name: "consent", Given: all, When: to(func(c *app.ChangeSettings) { c.AskConsent = &yes }), Then: changed(func(e *app.SettingsChanged) { e.AskConsent = true })},
		is{Name: "RS256", Given: all, When: to(func(c *app.ChangeSettings) { c.Algorithm = str("RS256") }), Then: changed(func(e *app.SettingsChanged) { e.Algorithm = "RS256" })},
		is{Name: "as they are", Given: all, When: to(func(c *app.ChangeSettings) { c.AskConsent, c.Algorithm = &no, str("ES256") })},
		is{Name: "nothing", Given: all, When: to(func(*app.ChangeSettings) {})},
		is{Name: "unsigned", Given: all, When: to(func(c *app.ChangeSettings) { c.Algorithm = str("none") }), Err: app.ErrAlgorithm},
		is{Name: "without proof", Given: all, When: to(func(c *app.ChangeSettings) { c.AuthMethod = str(app.NoAuth) }), Err: app.ErrConfidential},
		is{Name: "a key that there is not", Given: all, When: byKey, Err: app.ErrNeedsKey},
		is{Name: "a key that there is", Given: append(given(key), all...), When: byKey, Err: nil, Then: changed(func(e *app.SettingsChanged) { e.AuthMethod = app.PrivateKeyJWT })},
		is{Name: "a key that has expired", Given: append(given(key), all...), When: late, Err: app.ErrNeedsKey},
		is{Name: "public, with a secret", Given: given(deskAdded, spaAdded), When: app.ChangeSettings{Application: spa, AuthMethod: str(app.ClientSecret)}, Err: app.ErrPublic},
		is{Name: "an API's tokens", Given: given(deskAdded, apiAdded), When: app.ChangeSettings{Application: api, APIAccess: &yes}, Err: app.ErrNoGrants},
		is{Name: "opens the API, by the instance's admin", As: asEve, Given: append(given(eveIs(authz.Admin, event.ID{})), all...), When: opens, Then: changed(func(e *app.SettingsChanged) { e.APIAccess = true })},
		is{Name: "opens the API, by the organization's owner", As: asEve, Given: append(given(eveIs(authz.Owner, acme)), all...), When: opens, Kind: fault.Denied},
		is{Name: "by a viewer", As: asEve, Given: append(given(eveIs(authz.Viewer, acme)), all...), When: to(func(c *app.ChangeSettings) { c.AskConsent = &yes }), Kind: fault.Denied},
		is{Name: "absent", When: byKey, Err: app.ErrNotFound},
	)
}

// Secrets are added and removed one by one; the last that works stays while the
// application is in use, and what can keep none gets none.
func TestSecrets(t *testing.T) {
	c := app.AddSecret{Application: web, Secret: credential.NewSecret{ID: second, Name: "next", Expires: now + 1, Digest: digest}, Now: now}
	past, long := c, c
	past.Secret.Expires, long.Secret.Name = now, strings.Repeat("x", 201)
	secondAdded := app.SecretAdded{Application: web, Project: desk, Organization: acme, Secret: second, Name: "next", Expires: now + 1, Digest: event.Seal(digest[:])}
	next := event.New{Stream: app.Stream(web), Payload: secondAdded}
	full := given(deskAdded, webAdded)
	for i := range credential.Most {
		full = append(full, event.New{Stream: app.Stream(web), Payload: app.SecretAdded{Application: web, Project: desk, Organization: acme, Secret: event.ID{0: 9, 15: byte(i)}}})
	}
	type adds = decidetest.Case[app.AddSecret]
	decidetest.Run(t, registry, app.AddingSecret,
		adds{Name: "another", Given: given(deskAdded, webAdded, firstAdded), When: c, Then: []any{secondAdded}},
		adds{Name: "expired already", Given: given(deskAdded, webAdded), When: past, Err: credential.ErrExpires},
		adds{Name: "too long a name", Given: given(deskAdded, webAdded), When: long, Kind: fault.Invalid},
		adds{Name: "too many", Given: full, When: c, Err: credential.ErrTooMany},
		adds{Name: "native", Given: given(deskAdded, nativeAdded), When: app.AddSecret{Application: native}, Err: app.ErrNoSecret},
		adds{Name: "single-page", Given: given(deskAdded, spaAdded), When: app.AddSecret{Application: spa}, Err: app.ErrNoSecret},
		adds{Name: "absent", When: c, Err: app.ErrNotFound},
		adds{Name: "removed", Given: given(deskAdded, webAdded, webRemoved), When: c, Err: app.ErrRemoved},
		adds{Name: "by a viewer", As: asEve, Given: given(deskAdded, webAdded, eveIs(authz.Viewer, acme)), When: c, Kind: fault.Denied},
	)
	end := app.RemoveSecret{Application: web, Secret: first, Now: now}
	late := end
	late.Now = now + 1
	type removes = decidetest.Case[app.RemoveSecret]
	decidetest.Run(t, registry, app.RemovingSecret,
		removes{Name: "the last", Given: given(deskAdded, webAdded, firstAdded), When: end, Err: app.ErrLastSecret},
		removes{Name: "one of two", Given: given(deskAdded, webAdded, firstAdded, next), When: end, Then: []any{firstRemoved.Payload}},
		removes{Name: "when the other has expired", Given: given(deskAdded, webAdded, firstAdded, next), When: late, Err: app.ErrLastSecret},
		removes{Name: "an expired one", Given: given(deskAdded, webAdded, firstAdded, next), When: app.RemoveSecret{Application: web, Secret: second, Now: now + 1},
			Then: []any{app.SecretRemoved{Application: web, Project: desk, Organization: acme, Secret: second}}},
		removes{Name: "the last, while out of use", Given: given(deskAdded, webAdded, firstAdded, webOut), When: end, Then: []any{firstRemoved.Payload}},
		removes{Name: "again", Given: given(deskAdded, webAdded, firstAdded, next, firstRemoved), When: end, Err: credential.ErrNoSecret},
		removes{Name: "by somebody", As: asEve, Given: given(deskAdded, webAdded, firstAdded, next), When: end, Kind: fault.Denied},
	)
}

// publicKey is the P-256 key of RFC 7517 appendix A.1.
const publicKey = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}`

// Keys are added and removed as secrets are.
func TestKeys(t *testing.T) {
	c := app.AddKey{Application: api, Key: credential.NewKey{ID: first, Name: "k", PublicKey: publicKey}, Now: now}
	k, err := credential.ParseKey(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyAdded := event.New{Stream: app.Stream(api), Payload: app.KeyAdded{Application: api, Project: desk, Organization: acme, Key: first, Name: "k", KeyID: "1", Algorithm: "ES256", JWK: k.JWK}}
	again := c
	again.Key.ID = second
	type adds = decidetest.Case[app.AddKey]
	decidetest.Run(t, registry, app.AddingKey,
		adds{Name: "once", Given: given(deskAdded, apiAdded), When: c, Then: []any{keyAdded.Payload}},
		adds{Name: "the same key", Given: given(deskAdded, apiAdded, keyAdded), When: again, Err: credential.ErrSameKey},
		adds{Name: "no key", Given: given(deskAdded, apiAdded), When: app.AddKey{Application: api}, Kind: fault.Invalid},
		adds{Name: "single-page", Given: given(deskAdded, spaAdded), When: app.AddKey{Application: spa, Key: c.Key}, Err: app.ErrNoKey},
		adds{Name: "absent", When: c, Err: app.ErrNotFound},
		adds{Name: "by somebody", As: asEve, Given: given(deskAdded, apiAdded), When: c, Kind: fault.Denied},
	)
	f := app.Defaults(app.API)
	byKey := event.New{Stream: app.Stream(api), Payload: app.SettingsChanged{Application: api, Project: desk, Organization: acme, AccessTokenType: f.AccessTokenType, Algorithm: f.Algorithm, AuthMethod: app.PrivateKeyJWT}}
	end := app.RemoveKey{Application: api, Key: first, Now: now}
	type removes = decidetest.Case[app.RemoveKey]
	decidetest.Run(t, registry, app.RemovingKey,
		removes{Name: "unused", Given: given(deskAdded, apiAdded, keyAdded), When: end, Then: []any{app.KeyRemoved{Application: api, Project: desk, Organization: acme, Key: first}}},
		removes{Name: "the last", Given: given(deskAdded, apiAdded, keyAdded, byKey), When: end, Err: app.ErrLastKey},
		removes{Name: "none", Given: given(deskAdded, apiAdded), When: end, Err: credential.ErrNoKey},
	)
}

// An application is out of use, in use again, or gone.
func TestStatus(t *testing.T) {
	type out = decidetest.Case[app.Deactivate]
	decidetest.Run(t, registry, app.Deactivating,
		out{Name: "once", Given: given(deskAdded, webAdded), When: app.Deactivate{Application: web}, Then: []any{webOut.Payload}},
		out{Name: "again", Given: given(deskAdded, webAdded, webOut), When: app.Deactivate{Application: web}, Err: app.ErrDeactivated},
		out{Name: "absent", When: app.Deactivate{Application: web}, Err: app.ErrNotFound},
		out{Name: "by somebody", As: asEve, Given: given(deskAdded, webAdded), When: app.Deactivate{Application: web}, Kind: fault.Denied},
	)
	type in = decidetest.Case[app.Reactivate]
	decidetest.Run(t, registry, app.Reactivating,
		in{Name: "once", Given: given(deskAdded, webAdded, webOut), When: app.Reactivate{Application: web}, Then: []any{webIn.Payload}},
		in{Name: "not needed", Given: given(deskAdded, webAdded), When: app.Reactivate{Application: web}, Err: app.ErrNotDeactivated},
		in{Name: "removed", Given: given(deskAdded, webAdded, webOut, webRemoved), When: app.Reactivate{Application: web}, Err: app.ErrRemoved},
	)
	type rename = decidetest.Case[app.Rename]
	decidetest.Run(t, registry, app.Renaming,
		rename{Name: "once", Given: given(deskAdded, webAdded), When: app.Rename{Application: web, Name: "Books"},
			Then: []any{app.Renamed{Application: web, Project: desk, Organization: acme, Name: "Books"}}},
		rename{Name: "the same", Given: given(deskAdded, webAdded), When: app.Rename{Application: web, Name: "App"}},
		rename{Name: "nothing", Given: given(deskAdded, webAdded), When: app.Rename{Application: web}, Err: org.ErrName},
	)
	type remove = decidetest.Case[app.Remove]
	end := app.Remove{Application: web}
	decidetest.Run(t, registry, app.Removing,
		remove{Name: "once", Given: given(deskAdded, webAdded), When: end, Then: []any{webRemoved.Payload}},
		remove{Name: "again", Given: given(deskAdded, webAdded, webRemoved), When: end, Err: app.ErrRemoved},
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
	decidetest.Run(t, registry, app.Deactivating,
		decidetest.Case[app.Deactivate]{Name: "out of use", As: asEve, Given: all, When: app.Deactivate{Application: native}, Err: project.ErrOfInstance})
	decidetest.Run(t, registry, app.Removing,
		decidetest.Case[app.Remove]{Name: "removed", As: asEve, Given: all, When: app.Remove{Application: native}, Err: project.ErrOfInstance})
}
