package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/api/route"
	"muniment.dev/event"
)

// S05: everybody is authenticated first. Each method of each service in the
// sources, over each protocol, with each bad credential: refused as
// unauthenticated, before the message is read.
func TestEveryMethodNeedsACaller(t *testing.T) {
	o := options(&users{}, &events{})
	o.Authenticator = tokens{"good": ada, "nobody": {Kind: "user"}, // and what has not the form of a token, were it asked about
		`"good"`: ada, "==": ada, "go=od": ada, "goöd": ada}
	s, hs := serve(t, o)
	bad := map[string]http.Header{
		"no token":             {},
		"unknown token":        {"Authorization": {"Bearer wrong"}},
		"token of nobody":      {"Authorization": {"Bearer nobody"}},
		"another scheme":       {"Authorization": {"Basic Z29vZDpnb29k"}},
		"two tokens":           {"Authorization": {"Bearer good", "Bearer good"}},
		"two tokens in one":    {"Authorization": {"Bearer good, Bearer good"}},
		"no space":             {"Authorization": {"Bearergood"}},
		"quoted":               {"Authorization": {`Bearer "good"`}},
		"padding alone":        {"Authorization": {"Bearer =="}},
		"padding within":       {"Authorization": {"Bearer go=od"}},
		"not ASCII":            {"Authorization": {"Bearer goöd"}},
		"very long":            {"Authorization": {"Bearer " + strings.Repeat("a", 9000)}},
		"in a header not ours": {"X-Authorization": {"Bearer good"}, "Cookie": {"access_token=good"}},
	}
	methods := 0
	for _, sd := range services() {
		for i := range sd.Methods().Len() {
			m := sd.Methods().Get(i)
			methods++
			path := "/" + string(sd.FullName()) + "/" + string(m.Name())
			for name, h := range bad {
				// Connect, the body never touched.
				ct := "application/json"
				if m.IsStreamingServer() {
					ct = "application/connect+json"
				}
				b := &untouched{}
				r := httptest.NewRequestWithContext(context.Background(), "POST", path+"?access_token=good", b)
				r.Header = h.Clone()
				r.Header.Set("Content-Type", ct)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if b.read || !strings.Contains(w.Body.String(), `"unauthenticated"`) {
					t.Errorf("%s, %s: read=%v, %d %s", path, name, b.read, w.Code, w.Body)
				}
			}
			for _, protocol := range []connect.ClientOption{connect.WithGRPC(), connect.WithGRPCWeb()} {
				c := connect.NewClient[dynamicpb.Message, dynamicpb.Message](bearing{token: "wrong", h2: true}, hs.URL+path, connect.WithSchema(m), protocol,
					connect.WithResponseInitializer(func(_ connect.Spec, v any) error {
						*v.(*dynamicpb.Message) = *dynamicpb.NewMessage(m.Output())
						return nil
					}))
				req := connect.NewRequest(dynamicpb.NewMessage(m.Input()))
				var err error
				if m.IsStreamingServer() {
					stream, e := c.CallServerStream(context.Background(), req)
					if err = e; err == nil {
						for stream.Receive() {
							t.Errorf("%s: something was answered", path)
						}
						err = stream.Err()
					}
				} else {
					_, err = c.CallUnary(context.Background(), req)
				}
				if connect.CodeOf(err) != connect.CodeUnauthenticated {
					t.Errorf("%s: %v, want unauthenticated", path, err)
				}
			}
		}
		routes, err := route.Of(sd)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			path := r.Template
			for _, v := range r.Vars() {
				path = strings.Replace(path, "{"+v+"}", "x", 1)
			}
			for name, h := range bad {
				b := &untouched{}
				req := httptest.NewRequestWithContext(context.Background(), r.HTTP, path+"?access_token=good", b)
				req.Header = h.Clone()
				w := httptest.NewRecorder()
				s.ServeHTTP(w, req)
				if w.Code != 401 || b.read || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s %s, %s: read=%v, %d %s", r.HTTP, path, name, b.read, w.Code, w.Body)
				}
			}
		}
	}
	if methods < 50 {
		t.Errorf("only %d methods were tried", methods)
	}
}

// untouched is a body that remembers whether anybody read it.
type untouched struct{ read bool }

func (u *untouched) Read([]byte) (int, error) { u.read = true; return 0, io.EOF }

// E04, E08: records keep who called, from where, and in what connection; the
// headers that say so are read strictly where they are ours.
func TestFacts(t *testing.T) {
	var got call.Facts
	var caller call.Caller
	u := &users{lock: func(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
		got, _ = call.FactsOf(ctx)
		caller, _ = call.CallerOf(ctx)
		return locked(ctx, r)
	}}
	o := options(u, &events{})
	_, hs := serve(t, o)
	h := good()
	h.Set("User-Agent", "probe/1\t"+strings.Repeat("é", 400))
	h.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	h.Set("Muniment-Source", "web-portal")
	h.Set("Muniment-Position", someLog+":7")
	h.Set("Idempotency-Key", "01234567-89AB-CDEF-0123-456789abcdef")
	status, head, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", h, `{"reason":"left the house"}`)
	if status != 200 || head.Get(api.PositionHeader) != someLog+":42" {
		t.Fatalf("%d %v %s", status, head, body)
	}
	if caller != ada {
		t.Errorf("caller %v, want %v", caller, ada)
	}
	if got.RequestID.IsZero() || got.CommandID != event.MustID(someID) || got.Source != "web-portal" ||
		got.Correlation != "4bf92f3577b34da6a3ce929d0e0e4736" || got.Reason != "left the house" ||
		got.IP != netip.MustParseAddr("127.0.0.1") || got.Seen.String() != someLog+":7" ||
		got.Method != "muniment.v1.UserService.LockUser" {
		t.Errorf("facts %+v", got)
	}
	if len(got.UserAgent) > 512 || len(got.UserAgent) < 500 || strings.ContainsAny(got.UserAgent, "\t\uFFFD") {
		t.Errorf("user agent of %d bytes: %q", len(got.UserAgent), got.UserAgent)
	}
	for name, value := range map[string]string{
		"Muniment-Source":   "Web Portal",
		"Muniment-Position": "7",
		"Idempotency-Key":   "my key",
	} {
		h := good()
		h.Set(name, value)
		status, _, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", h, `{}`)
		if status != 400 || !strings.Contains(body, `"field":"`+name+`"`) {
			t.Errorf("%s %q: %d %s", name, value, status, body)
		}
	}
}

// Each change has a command id, the same in message and facts; it may come as
// field or as header, but not as two different ones.
func TestCommandID(t *testing.T) {
	var msg string
	var fact event.ID
	u := &users{lock: func(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
		f, _ := call.FactsOf(ctx)
		msg, fact = r.CommandId, f.CommandID
		return locked(ctx, r)
	}}
	_, hs := serve(t, options(u, &events{}))
	for _, c := range []struct {
		name, header, field, want string // want empty: some id
		status                    int
	}{
		{"made by the server", "", "", "", 200},
		{"as header", someID, "", someID, 200},
		{"as quoted header", `"` + someID + `"`, "", someID, 200},
		{"as field", "", someID, someID, 200},
		{"as UUID in capitals", "", "01234567-89AB-CDEF-0123-456789ABCDEF", someID, 200},
		{"as both", someID, "01234567-89ab-cdef-0123-456789abcdef", someID, 200},
		{"two of them", someID, someLog, "", 400},
		{"zero", "", strings.Repeat("0", 32), "", 400},
		{"zero as header", strings.Repeat("0", 32), "", "", 400},
		{"too short", "", "abc", "", 400},
	} {
		msg, fact = "", event.ID{}
		h := good()
		if c.header != "" {
			h.Set("Idempotency-Key", c.header)
		}
		status, _, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", h, `{"commandId":"`+c.field+`"}`)
		if status != c.status {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		if status != 200 {
			if msg != "" {
				t.Errorf("%s: reached the service all the same", c.name)
			}
			continue
		}
		if msg != fact.String() || fact.IsZero() || c.want != "" && msg != c.want {
			t.Errorf("%s: message %q, facts %v, want %q", c.name, msg, fact, c.want)
		}
	}
}
