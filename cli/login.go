package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// apiScope asks for an access token that the server's own API accepts.
const apiScope = "urn:muniment:scope:api"

// ClientID is the OAuth client that the server knows this program as: a native
// application, without a secret, returned to at http://127.0.0.1:PORT/callback
// (RFC 8252 §7.3).
const ClientID = "muniment-cli"

const patience = 5 * time.Minute // for a person in a browser

// login signs in: authorization code with PKCE, the browser returning to a
// port of this machine (RFC 8252).
func login(ctx context.Context, env Env, args []string) error {
	server, browse, err := loginFlags(env, args)
	if err != nil || server == "" {
		return err
	}
	s, err := openStore(env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	meta, err := discover(ctx, env, server)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	state, verifier := random(), random()
	redirect := "http://" + l.Addr().String() + "/callback"
	challenge := sha256.Sum256([]byte(verifier))
	address := meta.Authorization + "?" + url.Values{
		"response_type": {"code"}, "client_id": {ClientID}, "redirect_uri": {redirect}, "scope": {"openid " + apiScope},
		"state": {state}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	fmt.Fprintf(env.Stderr, "Sign in in the browser:\n%s\n", address)
	if browse && env.Browse != nil {
		if err := env.Browse(address); err != nil {
			fmt.Fprintln(env.Stderr, "No browser could be opened; open the address yourself, on this machine.")
		}
	}
	code, err := receive(ctx, l, state, meta.Issuer)
	if err != nil {
		return err
	}
	t, err := redeem(ctx, env, meta.Token, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {ClientID}, "redirect_uri": {redirect},
		"code": {code}, "code_verifier": {verifier},
	})
	if err != nil {
		return err
	}
	if s.Servers == nil {
		s.Servers = map[string]session{}
	}
	s.Last, s.Servers[server] = server, t
	if err := s.save(); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "Signed in to %s until %s.\n", server, t.Expires.Local().Format(time.DateTime))
	return nil
}

// loginFlags reads the command line of login; server is empty if it asked for
// help only.
func loginFlags(env Env, args []string) (server string, browse bool, err error) {
	server, browse = env.Getenv("MUNIMENT_URL"), true
	for len(args) > 0 {
		name, value, has := strings.Cut(args[0], "=")
		args = args[1:]
		switch {
		case isHelp(name):
			fmt.Fprintln(env.Stdout, "muniment login [--url URL] [--no-browser]\n\nSign in through the browser. The access token is kept in the user's folder for\nconfiguration, readable by nobody else, until it expires.")
			return "", false, nil
		case name == "--no-browser" && !has:
			browse = false
		case name == "--url" && (has || len(args) > 0):
			if !has {
				value, args = args[0], args[1:]
			}
			server = value
		default:
			return "", false, &Usage{fmt.Sprintf("login does not know %q; it takes --url URL and --no-browser", clean(name))}
		}
	}
	if server == "" {
		s, err := openStore(env)
		if err != nil {
			return "", false, err
		}
		server = s.Last
	}
	if server == "" {
		return "", false, &Usage{"which server? muniment login --url URL"}
	}
	server, err = checkURL(server)
	return server, browse, err
}

// logout forgets the tokens of a server, or of the one signed in to last.
func logout(env Env, args []string) error {
	if len(args) > 0 {
		if isHelp(args[0]) {
			fmt.Fprintln(env.Stdout, "muniment logout\n\nForget all access tokens of login. The session in the browser goes on: sign out\nthere, or end it with muniment session end.")
			return nil
		}
		return &Usage{"logout takes no flags"}
	}
	s, err := openStore(env)
	if err != nil {
		return err
	}
	s.Servers = nil
	if err := s.save(); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, "The access tokens are gone from this machine.")
	return nil
}

func random() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

// discover asks the server for its endpoints (OpenID Connect Discovery §4).
// They must be its own.
func discover(ctx context.Context, env Env, server string) (metadata, error) {
	var m metadata
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/.well-known/openid-configuration", nil)
	if err != nil {
		return m, err
	}
	if err := getJSON(env.client(), r, &m); err != nil {
		return m, fmt.Errorf("%s does not answer as a Muniment server: %w", server, err)
	}
	if m.Issuer != server { // Discovery §4.3
		return m, &failure{msg: fmt.Sprintf("%s calls itself %q; use that address", server, clean(m.Issuer))}
	}
	for _, endpoint := range []string{m.Authorization, m.Token} {
		if !strings.HasPrefix(endpoint, server+"/") || clean(endpoint) != endpoint {
			return m, &failure{msg: server + " names endpoints of another server, or such as cannot be printed"}
		}
	}
	return m, nil
}

// receive waits for the browser to come back (RFC 6749 §4.1.2). Whatever comes
// without our state is not for us, and does not disturb the waiting.
func receive(ctx context.Context, l net.Listener, state, issuer string) (string, error) {
	type answer struct {
		code string
		err  error
	}
	answers := make(chan answer, 1)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.Method != http.MethodGet || r.URL.Path != "/callback" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			http.Error(w, "There is nothing here.", http.StatusNotFound)
			return
		}
		var a answer
		switch {
		case q.Get("iss") != issuer: // RFC 9207 §2.4
			a.err = &failure{msg: "the answer came from another server; nothing was done"}
		case q.Get("error") != "": // RFC 6749 §4.1.2.1
			a.err = &failure{msg: "the server refused: " + clean(q.Get("error")+" "+q.Get("error_description"))}
		case q.Get("code") == "":
			a.err = &failure{msg: "the server's answer holds no code"}
		default:
			a.code = q.Get("code")
		}
		if a.err != nil {
			fmt.Fprintln(w, "This did not work. The terminal says why.")
		} else {
			fmt.Fprintln(w, "Signed in. You can close this page and go back to the terminal.")
		}
		select {
		case answers <- a:
		default:
		}
	})}
	go srv.Serve(l) //nolint:errcheck // it ends when it is closed
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		srv.Shutdown(ctx) //nolint:errcheck // the page has been written or nobody wants it
	}()
	select {
	case a := <-answers:
		return a.code, a.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", &failure{msg: "nobody signed in within " + patience.String()}
		}
		return "", &failure{msg: "interrupted; nobody was signed in"}
	}
}

// redeem exchanges the code for a token (RFC 6749 §4.1.3).
func redeem(ctx context.Context, env Env, endpoint string, form url.Values) (session, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return session{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var t struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	asked := time.Now()
	if err := getJSON(env.client(), r, &t); err != nil {
		return session{}, fmt.Errorf("no token: %w", err)
	}
	if t.AccessToken == "" || !strings.EqualFold(t.TokenType, "Bearer") || t.ExpiresIn <= 0 {
		return session{}, &failure{msg: "the server's answer holds no token that this program can use"}
	}
	return session{t.AccessToken, asked.Add(time.Duration(t.ExpiresIn) * time.Second).UTC().Truncate(time.Second)}, nil
}

// getJSON makes a request and reads its answer; an OAuth error (RFC 6749 §5.2)
// becomes an error of ours.
func getJSON(c *http.Client, r *http.Request, into any) error {
	r.Header.Set("Accept", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer discard(resp.Body)
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(b, &e) == nil && e.Error != "" {
			return &failure{msg: clean(e.Error + " " + e.Description)}
		}
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	if json.Unmarshal(b, into) != nil {
		return errors.New("the answer is not JSON")
	}
	return nil
}

// machineToken gets a token for a machine user (RFC 6749 §4.4). It is kept
// nowhere: the next command gets another.
func machineToken(ctx context.Context, env Env, server, id, secret string) (string, error) {
	if id == "" || secret == "" {
		return "", &Usage{"a machine user needs both MUNIMENT_CLIENT_ID and MUNIMENT_CLIENT_SECRET"}
	}
	meta, err := discover(ctx, env, server)
	if err != nil {
		return "", err
	}
	t, err := redeem(ctx, env, meta.Token, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {strings.TrimSpace(id)}, "client_secret": {strings.TrimSpace(secret)}, "scope": {apiScope},
	})
	return t.AccessToken, err
}
