package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
)

// overHTTP2 is a client that speaks HTTP/2 in clear from the first byte, as
// gRPC does (RFC 9113 §3.3).
func overHTTP2(t *testing.T) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// gRPC over HTTP/2 in clear, gRPC-Web, Connect, and REST against the running
// server: the same answers, the same refusals.
func TestProtocols(t *testing.T) {
	in := install(t)
	token, org := in.login(), in.organization()
	ctx := context.Background()
	clients := map[string]connectv1.UserServiceClient{
		"grpc":     connectv1.NewUserServiceClient(bearing{overHTTP2(t), token}, in.url, connect.WithGRPC()),
		"grpc-web": connectv1.NewUserServiceClient(bearing{http.DefaultClient, token}, in.url, connect.WithGRPCWeb()),
		"connect":  connectv1.NewUserServiceClient(bearing{http.DefaultClient, token}, in.url),
		"json":     connectv1.NewUserServiceClient(bearing{http.DefaultClient, token}, in.url, connect.WithProtoJSON()),
	}
	for name, c := range clients {
		res, err := c.CreateUser(ctx, &munimentv1.CreateUserRequest{OrganizationId: org, Email: name + "@example.org", GivenName: "Ada"})
		if err != nil {
			t.Errorf("%s: create: %v", name, err)
			continue
		}
		if _, err := c.LockUser(ctx, &munimentv1.LockUserRequest{UserId: res.GetUserId()}); err != nil {
			t.Errorf("%s: lock: %v", name, err)
		}
		if _, err := c.LockUser(ctx, &munimentv1.LockUserRequest{UserId: res.GetUserId()}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("%s: lock twice: %v", name, err)
		}
		got, err := c.GetUser(ctx, &munimentv1.GetUserRequest{UserId: res.GetUserId()})
		if err != nil || got.GetUser().GetEmail().GetValue() != name+"@example.org" || got.GetUser().GetState() != munimentv1.UserState_USER_STATE_LOCKED {
			t.Errorf("%s: get: %v %v", name, got, err)
		}
		status, _, body := in.rest("GET", "/v1/users/"+res.GetUserId(), token, "")
		if status != 200 || !strings.Contains(body, `"value":"`+name+`@example.org"`) || !strings.Contains(body, "USER_STATE_LOCKED") {
			t.Errorf("REST does not see what %s made: %d %s", name, status, body)
		}
	}
	for name, c := range map[string]connectv1.UserServiceClient{
		"grpc":    connectv1.NewUserServiceClient(overHTTP2(t), in.url, connect.WithGRPC()),
		"connect": connectv1.NewUserServiceClient(bearing{http.DefaultClient, token[:len(token)-4] + "AAAA"}, in.url),
	} {
		if _, err := c.ListUsers(ctx, &munimentv1.ListUsersRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s without a good token: %v", name, err)
		}
	}
	// A browser that somebody's page drives has cookies, and no token.
	status, _, _ := in.browse("GET", "/v1/users")
	if status != http.StatusUnauthorized {
		t.Errorf("a session cookie opens the API: %d", status)
	}
	in.stop()
}

// A stream over gRPC brings an event that happens after it began.
func TestWatchOverGRPC(t *testing.T) {
	in := install(t)
	token, org := in.login(), in.organization()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := connectv1.NewEventServiceClient(bearing{overHTTP2(t), token}, in.url, connect.WithGRPC())
	stream, err := events.WatchEvents(ctx, &munimentv1.WatchEventsRequest{OnlyNew: true, Filter: &munimentv1.EventFilter{Types: []string{"user.registered"}}})
	if err != nil || !stream.Receive() {
		t.Fatalf("watch: %v %v", err, stream.Err())
	}
	status, made, err := create(http.DefaultClient, in.url, token, org, "00000000000000000000000000000abc")
	if status != 200 || err != nil {
		t.Fatal(status, err)
	}
	for stream.Receive() {
		if e := stream.Msg().GetEvent(); e != nil {
			if e.GetType() != "user.registered" || !strings.Contains(e.GetStream(), made.UserID) {
				t.Errorf("the stream brings %v", e)
			}
			return
		}
	}
	t.Errorf("the stream ends: %v", stream.Err())
}

// What the API is, is served to whoever asks; what it holds, to no page of
// another origin.
func TestReferenceAndOrigins(t *testing.T) {
	in := install(t)
	token := in.login()
	status, head, body := in.rest("GET", "/openapi.json", "", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 || !strings.HasPrefix(doc.OpenAPI, "3.") || doc.Paths["/v1/users"]["post"] == nil {
		t.Errorf("/openapi.json: %d %v", status, err)
	}
	if typ := head.Get("Content-Type"); !strings.HasPrefix(typ, "application/json") {
		t.Errorf("/openapi.json is %s", typ)
	}
	status, head, body = in.rest("GET", "/api", "", "")
	if status != 200 || !strings.HasPrefix(head.Get("Content-Type"), "text/html") || !strings.Contains(body, "CreateUser") || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/api: %d %v", status, head)
	}
	for _, path := range []string{"/v1/users", "/v1/me", "/muniment.v1.UserService/ListUsers", "/openapi.json", "/oauth/token", "/oauth/userinfo", "/login", "/console/people", "/.well-known/openid-configuration"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			req, err := http.NewRequest(method, in.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://evil.example")
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "authorization")
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			for name := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") && path != "/.well-known/openid-configuration" {
					t.Errorf("%s %s answers %s: %s", method, path, name, res.Header.Get(name))
				}
			}
		}
	}
}

// REST by hand: what a script would send, and what it must not.
func TestREST(t *testing.T) {
	in := install(t)
	token, org := in.login(), in.organization()
	const command = "0123456789abcdef0123456789abcdef"
	body := `{"organizationId":"` + org + `","email":"ada@example.org","givenName":"Ada"}`
	first := in.post("/v1/users", token, body, "Idempotency-Key", command)
	second := in.post("/v1/users", token, body, "Idempotency-Key", command)
	var a, b created
	decode(t, first, &a)
	decode(t, second, &b)
	if a.UserID == "" || a.UserID != b.UserID || !b.Change.Replayed || strings.Contains(second, "/setup/") {
		t.Errorf("the same twice answers\n%s\n%s", first, second)
	}
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/users", body, 409, "exists"},
		{"POST", "/v1/users", `{"email":"x@example.org","givenName":"X"}`, 400, "organization_id"},
		{"POST", "/v1/users", strings.Replace(body, "givenName", "givenname", 1), 400, "givenname"},
		{"POST", "/v1/users", body[:20], 400, "invalid"},
		{"POST", "/v1/users", `{"email":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "exhausted"},
		{"GET", "/v1/users?filter.email=ada@example.org", "", 400, "email"},
		{"GET", "/v1/users?nosuch=1", "", 400, "nosuch"},
		{"GET", "/v1/users/" + command, "", 404, "not_found"},
		{"DELETE", "/v1/users/" + a.UserID, "", 405, ""},
		{"GET", "/v1/nosuch", "", 404, ""},
	} {
		status, head, got := in.rest(x.method, x.path, token, x.body)
		if status != x.status || !strings.Contains(got, x.want) || status >= 400 && head.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s %.200s", x.method, x.path, status, head.Get("Content-Type"), got)
		}
	}
	status, head, _ := in.rest("GET", "/v1/users", "", "")
	if status != 401 || !strings.HasPrefix(head.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("without a token: %d %q", status, head.Get("WWW-Authenticate"))
	}
	status, _, got := in.rest("POST", "/v1/users:search", token, `{"filter":{"email":"ADA@example.org"}}`)
	if status != 200 || !strings.Contains(got, a.UserID) {
		t.Errorf("search: %d %s", status, got)
	}
}

// rest sends a request with a token, if there is one, and header lines in pairs.
func (in *installation) rest(method, path, token, body string, header ...string) (int, http.Header, string) {
	in.t.Helper()
	req, err := http.NewRequest(method, in.url+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return in.answer(http.DefaultClient, req)
}

func (in *installation) post(path, token, body string, header ...string) string {
	in.t.Helper()
	status, _, got := in.rest("POST", path, token, body, header...)
	if status != 200 {
		in.t.Fatalf("POST %s: %d %s", path, status, got)
	}
	return got
}

// browse sends a request as the owner's browser.
func (in *installation) browse(method, path string) (int, http.Header, string) {
	in.t.Helper()
	req, err := http.NewRequest(method, in.url+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	return in.answer(in.owner.client, req)
}

func (in *installation) answer(c *http.Client, req *http.Request) (int, http.Header, string) {
	in.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}
