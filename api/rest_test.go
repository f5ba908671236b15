package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

const canary = "correct-horse-battery"

// Bad input of every sort gets a status, a kind and a field, and its values
// are not repeated.
func TestBadInput(t *testing.T) {
	reached := false
	u := &users{
		lock: func(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
			reached = true
			return locked(ctx, r)
		},
		create: func(context.Context, *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
			reached = true
			return &munimentv1.CreateUserResponse{}, nil
		},
		list: func(context.Context, *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
			reached = true
			return &munimentv1.ListUsersResponse{}, nil
		},
	}
	o := options(u, &events{})
	o.MaxMessage = 4096
	_, hs := serve(t, o)
	large := `{"email":"` + strings.Repeat("a", 5000) + `"}`
	deep := `{"filter":` + strings.Repeat(`{"filter":`, 300) + `1` + strings.Repeat(`}`, 301)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		field                    string
	}{
		{"unknown field", "POST", "/v1/users", `{"emial":"` + canary + `"}`, 400, "emial"},
		{"duplicate field", "POST", "/v1/users", `{"email":"a","email":"` + canary + `"}`, 400, "email"},
		{"the same field by both names", "POST", "/v1/users", `{"given_name":"a","givenName":"` + canary + `"}`, 400, "givenName"},
		{"number for text", "POST", "/v1/users", `{"password":12345678}`, 400, "password"},
		{"text that is no number", "POST", "/v1/users:search", `{"pageSize":"` + canary + `"}`, 400, "pageSize"},
		{"unknown value", "POST", "/v1/users:search", `{"filter":{"state":"` + canary + `"}}`, 400, "state"},
		{"null is not a message", "POST", "/v1/users", `null`, 400, ""},
		{"list is not a message", "POST", "/v1/users", `[]`, 400, ""},
		{"garbage", "POST", "/v1/users", canary, 400, ""},
		{"cut short", "POST", "/v1/users", `{"email":"a`, 400, ""},
		{"two messages", "POST", "/v1/users", `{}{}`, 400, ""},
		{"bad UTF-8", "POST", "/v1/users", "{\"email\":\"\xff\"}", 400, ""},
		{"too large", "POST", "/v1/users", large, 413, ""},
		{"too deep", "POST", "/v1/users:search", deep, 400, "filter"},
		{"path and body differ", "POST", "/v1/users/" + someID + ":lock", `{"userId":"` + someLog + `"}`, 400, "user_id"},
		{"query beside a body", "POST", "/v1/users?reason=" + canary, `{}`, 400, "reason"},
		{"body beside a query", "GET", "/v1/users", `{}`, 400, ""},
		{"unknown parameter", "GET", "/v1/users?color=" + canary, ``, 400, "color"},
		{"message as parameter", "GET", "/v1/users?filter=" + canary, ``, 400, "filter"},
		{"list of messages as parameter", "GET", "/v1/entities/household?filters%5B0%5D.field=" + canary, ``, 400, "filters[0].field"},
		{"deeper than a scalar", "GET", "/v1/users?page_size.x=1", ``, 400, "page_size.x"},
		{"empty name", "GET", "/v1/users?=1", ``, 400, ""},
		{"parameter twice", "GET", "/v1/users?page_size=1&page_size=2", ``, 400, "page_size"},
		{"no number", "GET", "/v1/users?page_size=" + canary, ``, 400, "page_size"},
		{"number too large", "GET", "/v1/users?pageSize=99999999999", ``, 400, "pageSize"},
		{"no bool", "GET", "/v1/users?read.stale_ok=1", ``, 400, "read.stale_ok"},
		{"no UTF-8", "GET", "/v1/users?page_token=%ff", ``, 400, "page_token"},
		{"no query", "GET", "/v1/users?a=%zz", ``, 400, ""},
		{"semicolons", "GET", "/v1/users?a=1;b=2", ``, 400, ""},
		{"e-mail in an address", "GET", "/v1/users?filter.email=" + canary, ``, 400, "filter.email"},
		{"name in an address", "GET", "/v1/users?filter.prefix=" + canary, ``, 400, "filter.prefix"},
		{"path in the query", "GET", "/v1/users/" + someID + "?user_id=" + someLog, ``, 400, "user_id"},
		{"no such path", "GET", "/v1/user", ``, 404, ""},
		{"no such verb", "POST", "/v1/users/x:explode", `{}`, 404, ""},
		{"a slash too many", "GET", "/v1/users/", ``, 404, ""},
		{"an empty id", "POST", "/v1/users/:lock", `{}`, 404, ""},
		{"dots", "GET", "/v1/x/../users", ``, 404, ""},
		{"another method", "DELETE", "/v1/users", ``, 405, ""},
		{"no position", "GET", "/v1/events/latest", ``, 400, "position"},
	} {
		reached = false
		status, h, body := send(t, c.method, hs.URL+c.path, good(), c.body)
		if status != c.status || c.field != "" && !strings.Contains(body, `"field":"`+c.field+`"`) || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s; want %d, field %q", c.name, status, body, c.status, c.field)
		}
		if strings.Contains(body, canary) {
			t.Errorf("%s: the value is repeated: %s", c.name, body)
		}
		if c.name == "unknown value" && !strings.Contains(body, "must be one of USER_STATE_ACTIVE, USER_STATE_") {
			t.Errorf("%s: it does not say what there is: %s", c.name, body)
		}
		if c.name == "list of messages as parameter" && !strings.Contains(body, "body of a POST") {
			t.Errorf("%s: it does not say what to do: %s", c.name, body)
		}
		if reached {
			t.Errorf("%s: reached the service", c.name)
		}
	}
	for ct, want := range map[string]int{
		"application/json": 200, "application/json; charset=UTF-8": 200, "text/plain": 415,
		"application/x-www-form-urlencoded": 415, "application/json; charset=latin1": 415, "": 415,
	} {
		h := good()
		h.Set("Content-Type", ct)
		if status, _, body := send(t, "POST", hs.URL+"/v1/users", h, `{}`); status != want {
			t.Errorf("content type %q: %d %s, want %d", ct, status, body, want)
		}
	}
	h := good()
	h.Set("Content-Encoding", "gzip")
	if status, _, body := send(t, "POST", hs.URL+"/v1/users", h, `{}`); status != 415 {
		t.Errorf("compressed REST: %d %s", status, body)
	}
}

// The same over Connect: unknown fields by name, values not repeated, sizes
// bounded also when compressed.
func TestBadInputOverConnect(t *testing.T) {
	o := options(&users{}, &events{})
	o.MaxMessage = 4096
	_, hs := serve(t, o)
	url := hs.URL + "/muniment.v1.UserService/CreateUser"
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write([]byte(`{"email":"` + strings.Repeat("a", 1<<24) + `"}`))
	z.Close()
	for _, c := range []struct {
		name, body, encoding string
		status               int
		says                 string
	}{
		{"unknown field", `{"emial":"` + canary + `"}`, "", 400, `unknown field \"emial\"`},
		{"wrong type", `{"password":12345678}`, "", 400, "password"},
		{"empty", ``, "", 400, "the least is {}"},
		{"garbage", canary, "", 400, "cannot be read"},
		{"too large", `{"email":"` + strings.Repeat("a", 5000) + `"}`, "", 429, "resource_exhausted"},
		{"bomb", bomb.String(), "gzip", 429, "resource_exhausted"},
		{"no gzip", `{}`, "gzip", 400, "invalid_argument"},
	} {
		h := good()
		if c.encoding != "" {
			h.Set("Content-Encoding", c.encoding)
		}
		status, _, body := send(t, "POST", url, h, c.body)
		if status != c.status || !strings.Contains(body, c.says) || strings.Contains(body, canary) || strings.Contains(body, "12345678") {
			t.Errorf("%s: %d %s; want %d and %q", c.name, status, body, c.status, c.says)
		}
	}
	// Messages do not travel in addresses: Connect's GET is off.
	if status, _, body := send(t, "GET", url+"?connect=v1&encoding=json&message=%7B%7D", good(), ""); status != 405 {
		t.Errorf("GET: %d %s", status, body)
	}
}

// What stands in a query or path arrives in the message.
func TestQueryAndPath(t *testing.T) {
	var got proto.Message
	e := &events{
		list: func(_ context.Context, r *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
			got = r
			return &munimentv1.ListEventsResponse{}, nil
		},
		get: func(_ context.Context, r *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
			got = r
			return &munimentv1.GetEventResponse{}, nil
		},
	}
	u := &users{list: func(_ context.Context, r *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
		got = r
		return &munimentv1.ListUsersResponse{}, nil
	}}
	_, hs := serve(t, options(u, e))
	for path, want := range map[string]string{
		"/v1/events?filter.types=user.locked&filter.types=user.*&filter.actors=user%3A1&descending=true&page_size=10":    `filter{types:"user.locked" types:"user.*" actors:"user:1"} descending:true page_size:10`,
		"/v1/events?filter.from=2026-01-02T03:04:05.000006Z&filter.afterPosition=18446744073709551615&read.staleOk=true": `filter{from{seconds:1767323045 nanos:6000} after_position:18446744073709551615} read{stale_ok:true}`,
		"/v1/events/7": `position:7`,
		"/v1/users?filter.state=USER_STATE_LOCKED&read.at_position=3": `filter{state:USER_STATE_LOCKED} read{at_position:3}`,
		"/v1/users": ``,
	} {
		got = nil
		status, _, body := send(t, "GET", hs.URL+path, http.Header{"Authorization": {"Bearer good"}}, "")
		if status != 200 || body != "{}" {
			t.Errorf("%s: %d %s", path, status, body)
			continue
		}
		w := got.ProtoReflect().New().Interface()
		if err := prototext.Unmarshal([]byte(want), w); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, w) {
			t.Errorf("%s: %v, want %v", path, got, w)
		}
	}
}

// Whatever a stranger with a good token sends over REST: an answer of the
// house, never a defect.
func FuzzREST(f *testing.F) {
	f.Add("POST", "/v1/users", "", `{"email":"a@b"}`)
	f.Add("GET", "/v1/events/7", "read.at_position=1", "")
	f.Add("GET", "/v1/events", "filter.types=a&filter.from=2026-01-02T03:04:05Z", "")
	f.Add("POST", "/v1/members:add", "", `{"scope":{"instance":true,"organizationId":"x"}}`)
	f.Add("POST", "/v1/projects/x/roles/a:b:remove", "", `{}`)
	f.Add("GET", "/v1/users/%2e%2e", "a=%00", "")
	s, err := api.New(options(&users{
		lock: locked,
		list: func(context.Context, *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
			return &munimentv1.ListUsersResponse{}, nil
		},
		create: func(context.Context, *munimentv1.CreateUserRequest) (*munimentv1.CreateUserResponse, error) {
			return &munimentv1.CreateUserResponse{}, nil
		},
	}, &events{
		list: func(context.Context, *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
			return &munimentv1.ListEventsResponse{}, nil
		},
		get: func(context.Context, *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
			return &munimentv1.GetEventResponse{}, nil
		},
	}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		u, err := url.Parse("http://x" + path)
		if err != nil || method != "GET" && method != "POST" || strings.HasPrefix(u.Path, "/api") || u.Path == "/openapi.json" {
			t.Skip()
		}
		u.RawQuery = query
		r := &http.Request{Method: method, URL: u, Header: good(), Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}
		if body != "" {
			r = httptest.NewRequestWithContext(context.Background(), method, "http://x/", strings.NewReader(body))
			r.URL, r.Header = u, good()
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != 501 || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/") {
			t.Fatalf("%s %s: %d %s", method, u, w.Code, w.Body)
		}
	})
}
