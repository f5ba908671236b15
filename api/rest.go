package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/api/route"
	"muniment.dev/fault"
)

// transcoder serves REST: it finds the method, reads the message, and calls
// the service with it, as a call over RPC does once it has been read.
type transcoder struct {
	s     *Server
	ends  []endpoint
	codec strictJSON
}

// endpoint is a method and how it is called: a stream or not.
type endpoint struct {
	route.Route
	direct
	stream func(context.Context, proto.Message, http.Header) (*connect.ServerStreamForClient[dynamicpb.Message], error)
	other  *Other // nil: the form that the annotations give
}

func newTranscoder(s *Server) (*transcoder, error) {
	t := &transcoder{s: s, codec: strictJSON{"json"}}
	var all []route.Route
	for _, path := range s.paths {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.Trim(path, "/")))
		if err != nil {
			return nil, fmt.Errorf("api: %s: %w", path, err)
		}
		service, ok := d.(protoreflect.ServiceDescriptor)
		if !ok {
			return nil, fmt.Errorf("api: %s is not a service", path)
		}
		routes, err := route.Of(service)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		all = append(all, routes...)
	}
	if err := route.Overlap(all); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	client := &http.Client{Transport: inProcess{s.rpc}}
	for _, r := range all {
		end := endpoint{Route: r}
		if r.Method.IsStreamingServer() {
			end.stream = streamed(dynamicClient(client, r.Method))
			end.fresh = func() proto.Message { return dynamicpb.NewMessage(r.Method.Input()) }
		} else {
			var err error
			if end.direct, err = s.directly(r.Method); err != nil {
				return nil, err
			}
		}
		t.ends = append(t.ends, end)
	}
	return t, t.addOthers()
}

// ServeHTTP serves one request.
func (t *transcoder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	end, vars, allowed := t.find(r)
	if end == nil && len(allowed) == 0 {
		writeProblem(w, http.StatusNotFound, &munimentv1.Fault{
			Kind: munimentv1.FaultKind_FAULT_KIND_NOT_FOUND, Message: "there is no such path; /openapi.json lists those that there are"})
		return
	}
	if end == nil {
		w.Header().Set("Allow", strings.Join(allowed, ", ")) // RFC 9110 §15.5.6
		writeProblem(w, http.StatusMethodNotAllowed, &munimentv1.Fault{
			Kind: munimentv1.FaultKind_FAULT_KIND_INVALID, Message: "this path is for " + strings.Join(allowed, " and ")})
		return
	}
	ctx, err := t.s.enter(r.Context(), string(end.Method.FullName()), r.RemoteAddr, r.Header)
	if err != nil {
		writeError(w, toConnect(ctx, err), err)
		return
	}
	msg, err := t.read(w, r.WithContext(ctx), end, vars)
	if err != nil {
		writeError(w, toConnect(ctx, err), err)
		return
	}
	if end.Method.IsStreamingServer() {
		t.serveStream(ctx, w, r, end, msg)
		return
	}
	out, place, err := end.call(ctx, msg)
	if err != nil {
		err = end.other.named(err)
		writeError(w, err, err)
		return
	}
	b, err := t.codec.Marshal(out)
	if err != nil {
		writeError(w, toConnect(ctx, err), err)
		return
	}
	if !place.IsZero() {
		w.Header().Set(PositionHeader, place.String())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b) //nolint:errcheck // the client has gone: nobody to tell
}

// find answers the endpoint of a request, or the HTTP methods that its path
// has if it is none of them.
func (t *transcoder) find(r *http.Request) (end *endpoint, vars map[string]string, allowed []string) {
	for i := range t.ends {
		e := &t.ends[i]
		v, ok := e.match(r.URL.EscapedPath())
		if !ok {
			continue
		}
		if e.HTTP == r.Method {
			return e, v, nil
		}
		if !slices.Contains(allowed, e.HTTP) {
			allowed = append(allowed, e.HTTP)
		}
	}
	return nil, nil, allowed
}

// errTooLarge is a body beyond the limit.
var errTooLarge = fault.New(fault.Exhausted, "the body is too large")

// read makes the message of body, path and query.
func (t *transcoder) read(w http.ResponseWriter, r *http.Request, end *endpoint, vars map[string]string) (proto.Message, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the query of the address cannot be read")
	}
	body, err := t.body(w, r)
	if err != nil {
		return nil, err
	}
	msg := end.fresh()
	if !end.Body {
		if len(body) > 0 {
			return nil, fault.New(fault.Invalid, "a %s has no body; its parameters stand in the query", end.HTTP)
		}
		if err := fillQuery(msg, query); err != nil {
			return nil, err
		}
		return msg, fillPath(msg, vars)
	}
	for name := range query {
		return nil, fault.Field(clip(name, 100), "this path takes no parameters in its query; send them in the body")
	}
	if end.other != nil {
		return end.other.Read(r.Context(), r.Header, body)
	}
	if len(body) > 0 {
		ct, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || ct != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
			return nil, fault.Field("Content-Type", "the body must be application/json")
		}
		if err := t.codec.Unmarshal(body, msg); err != nil {
			return nil, err
		}
	}
	return msg, fillPath(msg, vars)
}

// body reads a body whole, up to the limit.
func (t *transcoder) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, fault.Field("Content-Encoding", "send the body as it is, not compressed")
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= int64(t.s.opts.MaxMessage) {
		b.Grow(int(min(n, trusted)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, int64(t.s.opts.MaxMessage)))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("more than %d bytes: %w", large.Limit, fault.Lasting(errTooLarge))
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body ended early")
	}
	return b.Bytes(), nil
}

// trusted is how much memory is made ready for a body because it claims to be
// so long.
const trusted = 256 << 10

// problem is an error over REST: a problem document (RFC 9457 §3) whose
// extension members are those of the Fault.
type problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	Field     string `json:"field,omitempty"`
	Position  uint64 `json:"position,string,omitempty"`
	RequestID string `json:"requestId,omitempty"`

	Problems []string `json:"problems,omitempty"`
}

// statusOf is the HTTP status of a kind of fault.
func statusOf(kind munimentv1.FaultKind) int {
	for k := fault.Internal; k <= fault.Erased; k++ {
		if x := onWire(k); x.kind == kind {
			return x.status
		}
	}
	return http.StatusInternalServerError
}

// writeError answers err as a client sees it; cause may say more of the status.
func writeError(w http.ResponseWriter, err error, cause error) {
	f := Explain(err)
	status := statusOf(f.Kind)
	var field *fault.Error
	switch {
	case connect.CodeOf(cause) == connect.CodeUnimplemented:
		status = http.StatusNotImplemented
	case errors.Is(cause, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.As(cause, &field) && (field.Field == "Content-Type" || field.Field == "Content-Encoding"):
		status = http.StatusUnsupportedMediaType
	}
	var seen *connect.Error
	if errors.As(err, &seen) && seen.Meta().Get(retryAfter) != "" {
		w.Header().Set(retryAfter, seen.Meta().Get(retryAfter))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	writeProblem(w, status, f)
}

func writeProblem(w http.ResponseWriter, status int, f *munimentv1.Fault) {
	p := problemOf(status, f)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(p) //nolint:errcheck // the client has gone: nobody to tell
}

func problemOf(status int, f *munimentv1.Fault) problem {
	return problem{Title: http.StatusText(status), Status: status, Detail: f.Message, Kind: kindName(f.Kind), Field: f.Field, Position: f.Position, RequestID: f.RequestId, Problems: f.Problems}
}
