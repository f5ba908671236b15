// Package oidc is Muniment's OpenID provider: discovery, authorization code
// flow with PKCE, token endpoint, userinfo and RP-initiated logout.
//
// It promises: parsing is strict and bounded, and repeated parameters are
// refused; a browser is only ever redirected to an address registered for the
// client; a code is exchanged at most once, and a second attempt ends what the
// first one got; tokens are handed over only after the fact of their issue is
// durable; nothing is written for a person who has not signed in.
//
// It does not keep state. What it needs is declared in needs.go, as interfaces
// in which every write is one append with one condition. What a person has
// begun but not finished travels in a sealed cookie (jar.go).
//
// It does not show the sign-in page: that is package login's, which asks
// [Provider.Flow] what to show and reports by [Provider.Answer].
//
// Specifications: RFC 6749, 6750, 7636, 8252, 8414, 9068, 9207, 9700; OpenID
// Connect Core, Discovery, RP-Initiated Logout 1.0; OAuth 2.0 Form Post
// Response Mode. Why not a library: docs/adr/0002-openid-provider.md.
package oidc
