package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"muniment.dev/fault"
)

// The error codes that the provider answers with.
const (
	codeInvalidRequest     = "invalid_request"           // RFC 6749 §4.1.2.1, §5.2
	codeInvalidClient      = "invalid_client"            // RFC 6749 §5.2
	codeInvalidGrant       = "invalid_grant"             // RFC 6749 §5.2
	codeUnauthorizedClient = "unauthorized_client"       // RFC 6749 §4.1.2.1, §5.2
	codeUnsupportedGrant   = "unsupported_grant_type"    // RFC 6749 §5.2
	codeUnsupportedType    = "unsupported_response_type" // RFC 6749 §4.1.2.1
	codeInvalidScope       = "invalid_scope"             // RFC 6749 §4.1.2.1
	codeInvalidTarget      = "invalid_target"            // RFC 8707 §2
	codeAccessDenied       = "access_denied"             // RFC 6749 §4.1.2.1
	codeServerError        = "server_error"              // RFC 6749 §4.1.2.1
	codeUnavailable        = "temporarily_unavailable"   // RFC 6749 §4.1.2.1
	codeLoginRequired      = "login_required"            // OpenID Connect Core §3.1.2.6
	codeConsentRequired    = "consent_required"          // OpenID Connect Core §3.1.2.6
	codeNoRequest          = "request_not_supported"     // OpenID Connect Core §3.1.2.6
	codeNoRequestURI       = "request_uri_not_supported" // OpenID Connect Core §3.1.2.6
	codeNoRegistration     = "registration_not_supported"
	codeInvalidToken       = "invalid_token"      // RFC 6750 §3.1
	codeInsufficientScope  = "insufficient_scope" // RFC 6750 §3.1
	codeMethod             = "method"             // ours: status 405, and invalid_request to the client
)

// refusal is an answer that is not a success: an OAuth error code and a
// sentence for the developer of the client. The sentence never holds input,
// and only characters that RFC 6749 §4.1.2.1 allows in error_description.
type refusal struct {
	code  string
	desc  string
	cause error // for our own log; may be nil
}

func (e *refusal) Error() string { return e.code + ": " + e.desc }

func (e *refusal) Unwrap() error { return e.cause }

func refuse(code, desc string) *refusal { return &refusal{code: code, desc: desc} }

// status is the HTTP status of the refusal at endpoints that clients call
// directly, RFC 6749 §5.2 and RFC 6750 §3.1.
func (e *refusal) status() int {
	switch e.code {
	case codeInvalidClient, codeInvalidToken:
		return http.StatusUnauthorized
	case codeMethod:
		return http.StatusMethodNotAllowed
	case codeInsufficientScope:
		return http.StatusForbidden
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeServerError:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// refusalOf maps an error of the server's other parts to OAuth. Kinds that say
// "no" become denied, the code that fits the endpoint; a foreign error's text
// goes to the log only.
func refusalOf(err error, denied, desc string) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Refused, fault.Erased:
		return &refusal{code: denied, desc: desc, cause: err}
	case fault.Unavailable, fault.Exhausted, fault.Conflict:
		return &refusal{code: codeUnavailable, desc: "the server cannot answer now, try again later", cause: err}
	case fault.Unknown:
		return &refusal{code: codeUnavailable, desc: "the outcome is not known, start the sign-in again", cause: err}
	}
	return &refusal{code: codeServerError, desc: "the server met an error, which is in its log", cause: err}
}

// note logs refusals that are our own trouble and reports the others.
func (p *Provider) note(ctx context.Context, endpoint, client string, e *refusal) {
	switch e.code {
	case codeServerError, codeUnavailable:
		p.c.Log.ErrorContext(ctx, "openid request not answered", slog.String("endpoint", endpoint),
			slog.String("client", client), slog.Any("error", e.cause))
		return
	case codeLoginRequired, codeConsentRequired: // answers to a question (prompt=none), not refusals
		return
	}
	if p.c.Refusals != nil && client != "" {
		p.c.Refusals.Refused(ctx, Refusal{Endpoint: endpoint, Client: client, Code: e.code, Reason: e.desc})
	}
}
