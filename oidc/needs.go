package oidc

import (
	"context"
	"crypto"
	"net/http"
	"slices"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Clients finds applications.
type Clients interface {
	// Client returns the active application with this client_id, as of now.
	// Its error is of kind NotFound when there is none, or when it, its
	// project, its organization or the instance is inactive or removed.
	Client(ctx context.Context, id string) (Client, error)
}

// ClientType says whether a client can keep a secret, RFC 6749 §2.1.
type ClientType uint8

const (
	Web     ClientType = iota // confidential: runs on a server and has a secret or a key
	Native                    // public: an app or a command-line tool, PKCE only, RFC 8252
	SPA                       // public: runs in the browser, PKCE only
	API                       // confidential: a resource server, which gets no tokens and asks about them
	Machine                   // confidential: a machine user, which gets tokens of its own, RFC 6749 §4.4
)

// Public reports whether clients of the type can keep no secret.
func (t ClientType) Public() bool { return t == Native || t == SPA }

// Client is an application as registered.
type Client struct {
	ID              string // client_id
	Name            string // shown to people
	Type            ClientType
	Secrets         [][32]byte    // SHA-256 of each secret now valid (two while one is replaced); none for public clients
	SecretIDs       []event.ID    // names of Secrets, in their order; may be left out
	Keys            []ClientKey   // by which its assertions are checked, now valid; if there are any, secrets are accepted from machine users only
	RedirectURIs    []string      // each accepted by app.CheckURI; compared exactly
	PostLogoutURIs  []string      // the same
	Project         string        // id of the project it belongs to; an audience of its access tokens
	Scopes          []string      // scopes beyond the standard ones that it may ask for, such as ScopeAPI
	GrantTypes      []string      // how it may get tokens; nil: authorization_code only
	AccessTokenType TokenType     // what its access tokens look like
	IDTokenAlg      string        // ES256 if empty, or RS256
	Resources       []string      // ids of further projects that it may address, RFC 8707
	AccessTokenLife time.Duration // that of the provider if 0; so are the next three
	IDTokenLife     time.Duration
	RefreshIdleLife time.Duration // of a refresh token that is not used
	RefreshLife     time.Duration // of all refresh tokens of one grant together
	AsksConsent     bool          // people are asked whether it may have the scopes that it wants, once for each
	User            event.ID      // the machine user that it is
	Proof           event.ID      // the secret or key by which it proved itself in this request
	FullIDToken     bool          // put profile and email claims into the ID token too, not into userinfo only
}

// May reports whether the client may use a grant type.
func (c Client) May(grantType string) bool {
	if c.GrantTypes == nil {
		return grantType == GrantCode
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// TokenType says what access tokens look like.
type TokenType uint8

const (
	JWT    TokenType = iota // RFC 9068: whoever has the keys can check it
	Opaque                  // random: only this server can tell what it is good for
)

// ClientKey is a public key of a client, for private_key_jwt.
type ClientKey struct {
	ID        event.ID
	KeyID     string // "kid" that an assertion may name
	Algorithm string // JWS "alg": the only one that it is used with
	Key       crypto.PublicKey
}

// Assertions remembers which assertions were used.
type Assertions interface {
	// UseAssertion records that c proved itself with an assertion with this
	// jti, signed by k. One append; of any number of callers at once, and ever,
	// exactly one gets nil, the others an error of kind Refused.
	UseAssertion(ctx context.Context, c Client, k ClientKey, jti string, expires time.Time) error
}

// Session is a signed-in browser.
type Session struct {
	ID       event.ID
	User     event.ID
	AuthTime time.Time // when the person last gave credentials; advances with each re-authentication
	AMR      []string  // how, RFC 8176: "pwd", "otp", "hwk", "mfa"
	ACR      string    // the level reached, one of Config.ACRs; may be empty
	// AskPassword says that credentials were given so long ago that they are to
	// be given again, whatever the client asks for.
	AskPassword bool
}

// Sessions knows who is signed in in a browser.
type Sessions interface {
	// Current returns the session that r's cookies prove, checked against the
	// log now. Its error is of kind Unauthenticated when there is none: never
	// begun, ended, expired, or the user locked or erased.
	Current(r *http.Request) (Session, error)
	// End ends s because the person signed out, and takes the session cookie
	// off the browser. One append; ending an ended session is no error. On
	// error, the cookie stays: nobody may believe to be signed out who is not.
	End(w http.ResponseWriter, r *http.Request, s Session, client string) error
}

// CodeGrant is the fact that a person let a client in: what IssueCode records
// and what Code returns. It never changes.
type CodeGrant struct {
	Grant       event.ID // names the grant, a stream of its own
	CodeHash    [32]byte // SHA-256 of the code
	Client      string   // client_id
	RedirectURI string   // as presented; the token request must repeat it
	Challenge   string   // PKCE S256 code_challenge, 43 characters
	Nonce       string   // may be empty
	Scopes      []string // granted
	Resources   []string // audiences that its tokens may have; empty: all that the client may address
	User        event.ID
	Session     event.ID
	AuthTime    time.Time
	AMR         []string
	ACR         string
	Consented   bool // the person was asked and agreed, in this flow
	Needs       bool // the client gets nothing to which the person has not agreed, now or before
	Issued      time.Time
	Expires     time.Time // of the code
}

// Redemption is the fact that a code was exchanged for tokens.
type Redemption struct {
	CodeHash [32]byte
	Access   AccessToken
	Opaque   *[32]byte   // SHA-256 of an opaque access token; nil if it is a JWT
	Refresh  *NewRefresh // nil if there is no refresh token
}

// NewRefresh is a refresh token to be recorded.
type NewRefresh struct {
	Hash    [32]byte // SHA-256 of it
	Expires time.Time
}

// EndReason says why the provider ended a grant. The list only grows.
type EndReason string

const (
	EndReplay   EndReason = "replay"       // the code was presented a second time, RFC 6749 §4.1.2
	EndVerifier EndReason = "verifier"     // the right client presented the code with a wrong code_verifier
	EndRedirect EndReason = "redirect_uri" // the right client presented the code with another redirect_uri
	EndReuse    EndReason = "reuse"        // a refresh token was presented a second time, RFC 9700 §4.14.2
	EndRevoked  EndReason = "revoked"      // the client revoked the refresh token, RFC 7009
)

// Redeem and Refresh refuse with these; compare with errors.Is.
var (
	ErrCodeSpent     = fault.New(fault.Refused, "the code was redeemed before")
	ErrRefreshSpent  = fault.New(fault.Refused, "the refresh token was used before")
	ErrConsentNeeded = fault.New(fault.Refused, "the person must be asked for consent")
	ErrGrantEnded    = fault.New(fault.Refused, "the grant or its session has ended")
)

// Grants records codes and what became of them. An error of kind Unknown means
// that the write may or may not have happened; the provider then hands out
// nothing.
type Grants interface {
	// IssueCode records a new grant with its code, and what the person agreed
	// to. One append, on the condition that session, user and application are
	// active and that consent which is needed was given and not withdrawn.
	// Kinds: Unauthenticated when the session has ended, Denied or Refused when
	// this person may not use this application; ErrConsentNeeded.
	IssueCode(ctx context.Context, g CodeGrant) error
	// Code finds a grant by the SHA-256 of its code, redeemed or ended ones
	// too, for as long as a replay should be noticed. Kind NotFound if there
	// is none. Reads at least up to the last acknowledged write. spent tells
	// whether the code was redeemed by then; it serves to notice late replays
	// and decides nothing, Redeem does.
	Code(ctx context.Context, hash [32]byte) (g CodeGrant, spent bool, err error)
	// Redeem records that the code was exchanged. One append, on the condition
	// that the code is unspent and grant, session, user and application are
	// active: of any number of callers at once exactly one gets nil. The others
	// get ErrCodeSpent, or ErrGrantEnded if it is not the code that is spent.
	Redeem(ctx context.Context, rd Redemption) error
	// End ends the grant and thereby its tokens. One append that nothing which
	// happens to the grant meanwhile can keep from happening; ending an ended
	// grant is no error and writes nothing. by is the client that asked for it,
	// empty if the provider did by itself.
	End(ctx context.Context, grant event.ID, why EndReason, by string) error
}

// RefreshGrant is a refresh token as recorded, and the grant it belongs to.
type RefreshGrant struct {
	CodeGrant
	Number int64 // of the refresh token within the grant, from 1
	// Last is the number of the newest one: if it is another, this one is
	// spent. It serves to notice reuse and decides nothing, Refresh does.
	Last    int64
	Ended   bool      // the grant
	Expires time.Time // of the refresh token
}

// Refreshing is the fact that a refresh token was exchanged for tokens.
type Refreshing struct {
	Hash   [32]byte // SHA-256 of the refresh token that was presented
	Number int64    // its number
	// Unclaimed are the access tokens of earlier exchanges of the same refresh
	// token of which it was not known whether they happened, and of which
	// nothing was handed out. If the last exchange was one of them, the refresh
	// token counts as not used.
	Unclaimed []event.ID
	Access    AccessToken
	Opaque    *[32]byte
	Next      NewRefresh
}

// RefreshTokens records refresh tokens and what became of them.
type RefreshTokens interface {
	// RefreshToken finds a refresh token by its SHA-256, spent, expired and
	// ended ones too, for as long as reuse should be noticed. Kind NotFound if
	// there is none. Reads at least up to the last acknowledged write.
	RefreshToken(ctx context.Context, hash [32]byte) (RefreshGrant, error)
	// Refresh records that a refresh token was exchanged. One append, on the
	// condition that it is the grant's newest and grant, user and application
	// are active: of any number of callers at once exactly one gets nil. The
	// others get ErrRefreshSpent, or ErrGrantEnded.
	Refresh(ctx context.Context, rf Refreshing) error
}

// Tokens tells whether tokens are still good.
type Tokens interface {
	// Active returns nil if the token's grant and session have not ended and
	// its user and client are active, at least up to the last acknowledged
	// write. Kinds Refused, NotFound, Denied, Unauthenticated and Erased mean
	// that it is not. It writes nothing.
	Active(ctx context.Context, t AccessToken) error
	// Opaque finds an opaque access token by its SHA-256, whether it is good or
	// not. Kind NotFound if there is none.
	Opaque(ctx context.Context, hash [32]byte) (AccessToken, error)
	// Revoke records that an access token is good no more; revoking one that is
	// not good is no error and writes nothing.
	Revoke(ctx context.Context, t AccessToken) error
}

// Consents remembers what people agreed to.
type Consents interface {
	// Consented returns the scopes that a person agreed that a client may have.
	Consented(ctx context.Context, user event.ID, client Client) ([]string, error)
}

// Users gives what a client may know of a person.
type Users interface {
	// Claims returns user's claims for client, as of now. Roles are those that
	// the client may see (its own project's). Kinds NotFound and Erased mean
	// that there is no such person any more.
	Claims(ctx context.Context, user event.ID, client Client, scopes []string) (UserClaims, error)
}

// UserClaims are the standard claims that Muniment knows, OpenID Connect Core
// §5.1, and roles. Empty ones are left out. The provider filters by scope.
type UserClaims struct {
	Name, GivenName, FamilyName, Nickname string
	Username                              string // preferred_username
	Picture, Locale, Zoneinfo             string
	UpdatedAt                             time.Time
	Email                                 string
	EmailVerified                         bool
	Roles                                 map[string][]string // project id → role keys
}

// Keys holds the instance's signing keys.
type Keys interface {
	// SigningKey returns the key that signs with alg ("ES256" or "RS256") now.
	// It makes one at first need.
	SigningKey(ctx context.Context, alg string) (SigningKey, error)
	// PublicKeys returns all keys by which a signature may still be verified:
	// current, next and not yet retired, each with its id and algorithm.
	PublicKeys(ctx context.Context) ([]PublicKey, error)
}

// SigningKey signs. An *ecdsa.PrivateKey on P-256 for ES256, an
// *rsa.PrivateKey of at least 2048 bits for RS256, or a remote key.
type SigningKey struct {
	ID     string // as KeyID makes it
	Alg    string
	Signer crypto.Signer
}

// PublicKey verifies.
type PublicKey struct {
	ID  string
	Alg string
	Key crypto.PublicKey
}

// Refusals hears of refusals that an auditor would ask about. Optional. It
// must not block, and it throttles: strangers can cause refusals at will.
type Refusals interface {
	Refused(ctx context.Context, r Refusal)
}

// Refusal is one refused request of a known client.
type Refusal struct {
	Endpoint string // "authorize", "token", "userinfo"
	Client   string
	Code     string // the OAuth error code, RFC 6749 §4.1.2.1 and §5.2
	Reason   string // what was wrong; no secrets and no personal data
}
