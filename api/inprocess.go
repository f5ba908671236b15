package api

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	connectv1 "muniment.dev/api/gen/muniment/v1/munimentv1connect"
)

// Clients call the services, in process or over a network.
type Clients struct {
	User         connectv1.UserServiceClient
	Organization connectv1.OrganizationServiceClient
	Project      connectv1.ProjectServiceClient
	Application  connectv1.ApplicationServiceClient
	Grant        connectv1.GrantServiceClient
	Member       connectv1.MemberServiceClient
	Permission   connectv1.PermissionServiceClient
	Policy       connectv1.PolicyServiceClient
	Session      connectv1.SessionServiceClient
	Event        connectv1.EventServiceClient
	Instance     connectv1.InstanceServiceClient
	History      connectv1.HistoryServiceClient
	Me           connectv1.MeServiceClient
	Hosted       connectv1.HostedInstanceServiceClient
	Schema       connectv1.SchemaServiceClient
	Entity       connectv1.EntityServiceClient
	Subscription connectv1.SubscriptionServiceClient
	Adapter      connectv1.AdapterServiceClient
	Sync         connectv1.SyncServiceClient
}

// NewClients makes clients that call the server at url through c.
func NewClients(c connect.HTTPClient, url string, opts ...connect.ClientOption) *Clients {
	return &Clients{
		User:         connectv1.NewUserServiceClient(c, url, opts...),
		Organization: connectv1.NewOrganizationServiceClient(c, url, opts...),
		Project:      connectv1.NewProjectServiceClient(c, url, opts...),
		Application:  connectv1.NewApplicationServiceClient(c, url, opts...),
		Grant:        connectv1.NewGrantServiceClient(c, url, opts...),
		Member:       connectv1.NewMemberServiceClient(c, url, opts...),
		Permission:   connectv1.NewPermissionServiceClient(c, url, opts...),
		Policy:       connectv1.NewPolicyServiceClient(c, url, opts...),
		Session:      connectv1.NewSessionServiceClient(c, url, opts...),
		Event:        connectv1.NewEventServiceClient(c, url, opts...),
		Instance:     connectv1.NewInstanceServiceClient(c, url, opts...),
		History:      connectv1.NewHistoryServiceClient(c, url, opts...),
		Me:           connectv1.NewMeServiceClient(c, url, opts...),
		Hosted:       connectv1.NewHostedInstanceServiceClient(c, url, opts...),
		Schema:       connectv1.NewSchemaServiceClient(c, url, opts...),
		Entity:       connectv1.NewEntityServiceClient(c, url, opts...),
		Subscription: connectv1.NewSubscriptionServiceClient(c, url, opts...),
		Adapter:      connectv1.NewAdapterServiceClient(c, url, opts...),
		Sync:         connectv1.NewSyncServiceClient(c, url, opts...),
	}
}

// uncompressed asks for answers as they are: within a process there is no way to
// save.
var uncompressed = connect.WithAcceptCompression("gzip", nil, nil)

// inProcessURL is where clients in process think the server is.
const inProcessURL = "http://in-process"

// Clients answers clients that call this server in process, as the caller that
// call.WithCaller put into the context of each call, with the facts of
// call.WithFacts. Everything else is as over a network: the same gate, limits
// and errors.
func (s *Server) Clients() *Clients {
	return NewClients(&http.Client{Transport: inProcess{s}}, inProcessURL, uncompressed)
}

// inProcess is an http.RoundTripper that hands requests to a handler with
// their context, and so with the caller in it.
type inProcess struct{ handler http.Handler }

// RoundTrip answers as soon as the handler has written its header; the body
// streams.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	req := r.Clone(r.Context())
	req.RequestURI = r.URL.RequestURI()
	req.Host = r.URL.Host
	if req.Body == nil {
		req.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: pw, started: make(chan struct{})}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				// What a service panics with is caught further in; this is
				// http.ErrAbortHandler or a defect of ours. net/http would
				// close the connection.
				w.WriteHeader(http.StatusInternalServerError)
				pw.CloseWithError(errors.New("api: the handler gave up"))
			}
		}()
		t.handler.ServeHTTP(w, req)
		w.WriteHeader(http.StatusOK)
		req.Body.Close()
		pw.Close()
	}()
	select {
	case <-w.started:
	case <-r.Context().Done():
		pr.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Header: w.sent, Body: pr, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
	}, nil
}

type pipeWriter struct {
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{} // closed when status and sent are set
	status  int
	sent    http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b) // blocks until it is read, so b is free afterwards
}

// Flush implements http.Flusher: what is written is read at once anyway.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }
