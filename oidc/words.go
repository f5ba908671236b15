package oidc

import "slices"

// ScopeText says what a scope lets an application do, in words that go on from
// "it may" (OpenID Connect Core §5.4 and §11).
func ScopeText(scope string) string {
	switch scope {
	case ScopeOpenID:
		return "know that it is you"
	case ScopeProfile:
		return "see your name"
	case ScopeEmail:
		return "see your e-mail address"
	case "roles":
		return "see your roles in its project"
	case ScopeOffline:
		return "keep this access while you are away"
	case ScopeAPI:
		return "do in Muniment whatever you may do"
	}
	return "use " + scope
}

// ScopeTexts says it of several, each once.
func ScopeTexts(scopes []string) (out []string) {
	for _, scope := range scopes {
		if text := ScopeText(scope); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
