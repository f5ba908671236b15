package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// A05: one service, reached in the same way by gRPC, gRPC-Web, Connect, REST
// and in process.
func TestProtocolsAgree(t *testing.T) {
	var seen []*munimentv1.LockUserRequest
	u := &users{lock: func(ctx context.Context, r *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
		seen = append(seen, proto.CloneOf(r))
		return locked(ctx, r)
	}}
	s, hs := serve(t, options(u, &events{}))
	want := &munimentv1.LockUserRequest{UserId: someID, CommandId: someLog, Reason: "because"}
	for name, c := range map[string]connectv1.UserServiceClient{
		"grpc":         connectv1.NewUserServiceClient(bearing{token: "good", h2: true}, hs.URL, connect.WithGRPC()),
		"grpc-web":     connectv1.NewUserServiceClient(bearing{token: "good"}, hs.URL, connect.WithGRPCWeb()),
		"connect":      connectv1.NewUserServiceClient(bearing{token: "good"}, hs.URL),
		"connect json": connectv1.NewUserServiceClient(bearing{token: "good"}, hs.URL, connect.WithProtoJSON()),
		"in process":   s.Clients().User,
	} {
		seen = nil
		ctx, info := connect.NewClientContext(context.Background())
		if name == "in process" {
			ctx = call.WithCaller(ctx, ada)
		}
		resp, err := c.LockUser(ctx, want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if resp.Change.GetPosition() != 42 || info.ResponseHeader().Get(api.PositionHeader) != someLog+":42" {
			t.Errorf("%s: answered %v, header %v", name, resp, info.ResponseHeader())
		}
		if len(seen) != 1 || !proto.Equal(seen[0], want) {
			t.Errorf("%s: the service saw %v, want %v", name, seen, want)
		}
	}
	seen = nil
	status, head, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", good(), `{"commandId":"`+someLog+`","reason":"because"}`)
	if status != 200 || body != `{"change":{"logId":"`+someLog+`","position":"42"}}` || head.Get("Content-Type") != "application/json" {
		t.Errorf("rest: %d %s", status, body)
	}
	if len(seen) != 1 || !proto.Equal(seen[0], want) {
		t.Errorf("rest: the service saw %v, want %v", seen, want)
	}
}

// Each kind of fault has one code, one status and a stable detail at each
// edge; foreign errors and defects show nothing of themselves.
func TestFaultsAtEveryEdge(t *testing.T) {
	var fail error
	u := &users{lock: func(context.Context, *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
		return nil, fail
	}}
	_, hs := serve(t, options(u, &events{}))
	c := connectv1.NewUserServiceClient(bearing{token: "good", h2: true}, hs.URL, connect.WithGRPC())
	overConnect := connectv1.NewUserServiceClient(bearing{token: "good"}, hs.URL)
	const secret = "hunter2"
	for _, x := range []struct {
		err      error
		code     connect.Code
		status   int
		kind     string
		field    string
		position uint64
	}{
		{fault.Field("user_id", "no"), connect.CodeInvalidArgument, 400, "invalid", "user_id", 0},
		{fault.New(fault.Unauthenticated, "no"), connect.CodeUnauthenticated, 401, "unauthenticated", "", 0},
		{fault.New(fault.Denied, "no"), connect.CodePermissionDenied, 403, "denied", "", 0},
		{fault.New(fault.NotFound, "no"), connect.CodeNotFound, 404, "not_found", "", 0},
		{fault.New(fault.Exists, "no"), connect.CodeAlreadyExists, 409, "exists", "", 0},
		{&fault.Error{Kind: fault.Conflict, Msg: "no", Err: &eventlog.Between{Position: 9, Type: "user.locked"}}, connect.CodeAborted, 409, "conflict", "", 9},
		{fault.Wrap("lock", fault.New(fault.Refused, "no")), connect.CodeFailedPrecondition, 409, "refused", "", 0},
		{fault.New(fault.Exhausted, "no"), connect.CodeResourceExhausted, 429, "exhausted", "", 0},
		{fault.New(fault.Unavailable, "no"), connect.CodeUnavailable, 503, "unavailable", "", 0},
		{fault.New(fault.Unknown, "no"), connect.CodeDeadlineExceeded, 504, "unknown", "", 0},
		{fault.New(fault.Erased, "no"), connect.CodeNotFound, 410, "erased", "", 0},
		{fault.New(fault.Internal, secret), connect.CodeInternal, 500, "internal", "", 0},
		{fault.New(fault.Corrupt, secret), connect.CodeInternal, 500, "internal", "", 0},
		{errors.New(secret), connect.CodeInternal, 500, "internal", "", 0},
		{&fault.Error{Kind: fault.Refused, Msg: "no", Err: errors.New(secret)}, connect.CodeFailedPrecondition, 409, "refused", "", 0},
		{connect.NewError(connect.CodeNotFound, errors.New(secret)), connect.CodeInternal, 500, "internal", "", 0},
	} {
		fail = x.err
		_, err := c.LockUser(context.Background(), &munimentv1.LockUserRequest{UserId: someID})
		f := api.Explain(err)
		if connect.CodeOf(err) != x.code || f.Field != x.field || f.Position != x.position || len(f.RequestId) != 32 ||
			strings.ToLower(strings.TrimPrefix(f.Kind.String(), "FAULT_KIND_")) != x.kind {
			t.Errorf("%v over gRPC: %v, %v", x.err, err, f)
		}
		status, head, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", good(), `{}`)
		var p struct {
			Status                         int
			Kind, Field, Detail, RequestID string
			Position                       uint64 `json:",string"`
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%v over REST: %s: %v", x.err, body, err)
		}
		if status != x.status || p.Status != x.status || p.Kind != x.kind || p.Field != x.field || p.Position != x.position || len(p.RequestID) != 32 {
			t.Errorf("%v over REST: %d %s", x.err, status, body)
		}
		if strings.Contains(body+err.Error(), secret) {
			t.Errorf("%v: shown: %s, %v", x.err, body, err)
		}
		// What passes by itself says when to come again (RFC 9110 §10.2.3).
		after := ""
		if x.status == 429 || x.status == 503 {
			after = "1"
		}
		var ce *connect.Error
		_, plain := overConnect.LockUser(context.Background(), &munimentv1.LockUserRequest{UserId: someID})
		var pe *connect.Error
		if !errors.As(err, &ce) || !errors.As(plain, &pe) || ce.Meta().Get("Retry-After") != after || pe.Meta().Get("Retry-After") != after || head.Get("Retry-After") != after {
			t.Errorf("%v: Retry-After is %q over gRPC, %q over Connect, %q over REST; want %q", x.err, ce.Meta().Get("Retry-After"), pe.Meta().Get("Retry-After"), head.Get("Retry-After"), after)
		}
		// What a page in process sees is what the service meant.
		if k := fault.KindOf(x.err); k != fault.Corrupt && fault.KindOf(api.AsFault(err)) != k {
			t.Errorf("%v came back as %v", x.err, fault.KindOf(api.AsFault(err)))
		}
	}
}

// A panic is an Internal error that tells nothing, and the server goes on.
func TestPanic(t *testing.T) {
	u := &users{lock: func(context.Context, *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
		panic("hunter2")
	}}
	_, hs := serve(t, options(u, &events{}))
	for range 2 {
		status, _, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", good(), `{}`)
		if status != 500 || strings.Contains(body, "hunter2") || !strings.Contains(body, `"internal"`) {
			t.Errorf("%d %s", status, body)
		}
	}
}

// When time runs out, a change may have happened and a read may be repeated.
func TestTimeRunsOut(t *testing.T) {
	u := &users{
		lock: func(ctx context.Context, _ *munimentv1.LockUserRequest) (*munimentv1.LockUserResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		list: func(ctx context.Context, _ *munimentv1.ListUsersRequest) (*munimentv1.ListUsersResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	o := options(u, &events{})
	o.Timeout = 20 * time.Millisecond
	_, hs := serve(t, o)
	if status, _, body := send(t, "POST", hs.URL+"/v1/users/"+someID+":lock", good(), `{}`); status != 504 || !strings.Contains(body, `"unknown"`) {
		t.Errorf("a change: %d %s", status, body)
	}
	if status, _, body := send(t, "GET", hs.URL+"/v1/users", good(), ""); status != 503 || !strings.Contains(body, `"unavailable"`) {
		t.Errorf("a read: %d %s", status, body)
	}
}

// A stream works over gRPC, Connect and in process, and ends when the client
// hangs up.
func TestStream(t *testing.T) {
	ended := make(chan error, 1)
	e := &events{watch: func(ctx context.Context, _ *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
		for p := uint64(1); p <= 3; p++ {
			if err := s.Send(&munimentv1.WatchEventsResponse{Position: p}); err != nil {
				return err
			}
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	s, hs := serve(t, options(&users{}, e))
	for name, c := range map[string]connectv1.EventServiceClient{
		"grpc":       connectv1.NewEventServiceClient(bearing{token: "good", h2: true}, hs.URL, connect.WithGRPC()),
		"connect":    connectv1.NewEventServiceClient(bearing{token: "good"}, hs.URL),
		"in process": s.Clients().Event,
	} {
		ctx, cancel := context.WithCancel(call.WithCaller(context.Background(), ada))
		stream, err := c.WatchEvents(ctx, &munimentv1.WatchEventsRequest{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for want := uint64(1); want <= 3; want++ {
			if !stream.Receive() || stream.Msg().Position != want {
				t.Fatalf("%s: %v, %v; want position %d", name, stream.Msg(), stream.Err(), want)
			}
		}
		cancel()
		stream.Close()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: the service still runs", name)
		}
	}
}

// A stream ends when its caller's token is revoked while it runs.
func TestStreamEndsWithItsToken(t *testing.T) {
	e := &events{watch: func(ctx context.Context, _ *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: 1}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	o := options(&users{}, e)
	o.Recheck = 10 * time.Millisecond
	o.Authenticator = &once{}
	_, hs := serve(t, o)
	c := connectv1.NewEventServiceClient(bearing{token: "good"}, hs.URL)
	stream, err := c.WatchEvents(context.Background(), &munimentv1.WatchEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	if connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated {
		t.Errorf("%v, want unauthenticated", stream.Err())
	}
}

// once is an Authenticator for which every token is good once.
type once struct{ used bool }

func (o *once) Authenticate(context.Context, string) (call.Caller, error) {
	if o.used {
		return call.Caller{}, fault.New(fault.Unauthenticated, "revoked")
	}
	o.used = true
	return ada, nil
}

// In process nobody is somebody by default, and no goroutine stays behind.
func TestInProcess(t *testing.T) {
	s, _ := serve(t, options(&users{lock: locked}, &events{}))
	c := s.Clients().User
	if _, err := c.LockUser(context.Background(), &munimentv1.LockUserRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("nobody: %v", err)
	}
	before := runtime.NumGoroutine()
	for range 100 {
		if _, err := c.LockUser(call.WithCaller(context.Background(), ada), &munimentv1.LockUserRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(call.WithCaller(context.Background(), ada))
	cancel()
	if _, err := c.LockUser(ctx, &munimentv1.LockUserRequest{}); err == nil {
		t.Error("a cancelled call succeeded")
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// A service that is missing is found when the server starts.
func TestNothingMissing(t *testing.T) {
	o := options(&users{}, &events{})
	o.Services.Grant = nil
	if _, err := api.New(o); err == nil || !strings.Contains(err.Error(), "grant") {
		t.Errorf("%v, want that grant is missing", err)
	}
	o = options(&users{}, &events{})
	o.Authenticator = nil
	if _, err := api.New(o); err == nil {
		t.Error("served without an Authenticator")
	}
	// Every service of the sources has its place.
	s, err := api.New(options(&users{}, &events{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, sd := range services() {
		if !strings.Contains(strings.Join(s.Paths(), " ")+" ", "/"+string(sd.FullName())+"/ ") {
			t.Errorf("%s is not served", sd.FullName())
		}
	}
}
