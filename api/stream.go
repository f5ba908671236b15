package api

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api/field"
	"muniment.dev/fault"
)

// dynamicClient calls a method in process.
func dynamicClient(client connect.HTTPClient, m protoreflect.MethodDescriptor) *connect.Client[dynamicpb.Message, dynamicpb.Message] {
	return connect.NewClient[dynamicpb.Message, dynamicpb.Message](client,
		inProcessURL+"/"+string(m.Parent().FullName())+"/"+string(m.Name()),
		connect.WithSchema(m),
		uncompressed,
		connect.WithResponseInitializer(func(_ connect.Spec, msg any) error {
			if d, ok := msg.(*dynamicpb.Message); ok {
				*d = *dynamicpb.NewMessage(m.Output())
			}
			return nil
		}))
}

// streamed answers a function that begins a stream in process. The access token
// goes with it, so that the stream ends when the token does.
func streamed(c *connect.Client[dynamicpb.Message, dynamicpb.Message]) func(context.Context, proto.Message, http.Header) (*connect.ServerStreamForClient[dynamicpb.Message], error) {
	return func(ctx context.Context, in proto.Message, h http.Header) (*connect.ServerStreamForClient[dynamicpb.Message], error) {
		d, ok := in.(*dynamicpb.Message)
		if !ok {
			return nil, fault.New(fault.Internal, "not a dynamic message")
		}
		req := connect.NewRequest(d)
		if token := h.Get("Authorization"); token != "" {
			req.Header().Set("Authorization", token)
		}
		return c.CallServerStream(ctx, req)
	}
}

// serveStream answers a stream: as a file if its messages are parts of one,
// else as server-sent events.
func (t *transcoder) serveStream(ctx context.Context, w http.ResponseWriter, r *http.Request, end *endpoint, msg proto.Message) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		if err := resumeAfter(msg, id); err != nil {
			writeError(w, toConnect(ctx, err), err)
			return
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := end.stream(ctx, msg, r.Header)
	if err != nil {
		writeError(w, err, err)
		return
	}
	defer stream.Close()
	first := stream.Receive() // with it, or with what was wrong, the answer begins
	if err := stream.Err(); err != nil {
		writeError(w, err, err)
		return
	}
	if chunk := end.Method.Output().Fields().ByName("chunk"); chunk != nil {
		download(w, msg, stream, chunk, first)
		return
	}
	t.events(w, stream, first)
}

// resumeAfter makes a stream go on behind the last event that a client had
// (HTML Living Standard §9.2.4, Last-Event-ID).
func resumeAfter(msg proto.Message, id string) error {
	log, digits, found := strings.Cut(id, ":")
	if !found {
		log, digits = "", id
	}
	if n, err := strconv.ParseUint(digits, 10, 63); err != nil || strconv.FormatUint(n, 10) != digits || found && log == "" {
		return fault.Field("Last-Event-ID", "must be the id of an event of this stream, log:position")
	}
	md := msg.ProtoReflect().Descriptor()
	if only := md.Fields().ByName("only_new"); only != nil {
		msg.ProtoReflect().Clear(only)
	}
	path, of := field.Find(md, "filter.after_position"), field.Find(md, "filter.log_id")
	if path == nil {
		path, of = field.Find(md, "after_position"), field.Find(md, "log_id")
	}
	if path == nil {
		return fault.Field("Last-Event-ID", "this stream cannot be resumed")
	}
	for p, text := range map[*field.Path]string{&path: digits, &of: log} {
		if *p == nil {
			continue
		}
		clearAt(msg, *p)
		if err := named("Last-Event-ID", field.Set(msg, *p, []string{text})); err != nil {
			return err
		}
	}
	return nil
}

// clearAt clears the field at the end of a path.
func clearAt(msg proto.Message, path field.Path) {
	m := msg.ProtoReflect()
	for _, f := range path[:len(path)-1] {
		m = m.Mutable(f).Message()
	}
	m.Clear(path.Leaf())
}

// events writes server-sent events (HTML Living Standard §9.2): id is the place,
// log:position, data what is watched. A message that brings none is a sign of life,
// whose id moves on where a client resumes.
func (t *transcoder) events(w http.ResponseWriter, stream *connect.ServerStreamForClient[dynamicpb.Message], ok bool) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not wait for more
	fmt.Fprint(w, "retry: 3000\n\n")
	for ; ok; ok = stream.Receive() {
		m := stream.Msg().ProtoReflect()
		fields := m.Descriptor().Fields()
		id, item := strconv.FormatUint(m.Get(fields.ByName("position")).Uint(), 10), fields.ByNumber(1)
		if log := fields.ByName("log_id"); log != nil && m.Has(log) {
			id = m.Get(log).String() + ":" + id
		}
		if !m.Has(item) {
			fmt.Fprintf(w, ": alive\nid: %s\n\n", id)
		} else if b, err := t.codec.Marshal(m.Get(item).Message().Interface()); err == nil {
			fmt.Fprintf(w, "id: %s\ndata: %s\n\n", id, b) // the JSON is on one line
		}
		if out.Flush() != nil {
			return // nobody is listening
		}
	}
	if err := stream.Err(); err != nil {
		f := Explain(err)
		b, _ := json.Marshal(problemOf(statusOf(f.Kind), f)) // strings and numbers: it cannot fail
		fmt.Fprintf(w, "event: problem\ndata: %s\n\n", b)
	}
}

// download writes a file in parts. If it cannot be finished the connection is
// cut, so that nobody takes it for whole.
func download(w http.ResponseWriter, msg proto.Message, stream *connect.ServerStreamForClient[dynamicpb.Message], chunk protoreflect.FieldDescriptor, ok bool) {
	contentType, name := "application/jsonl", "events.jsonl"
	m := msg.ProtoReflect()
	if m.Descriptor().Fields().ByName("format") == nil { // the file has one form: that of backups
		contentType, name = "application/x-tar", "log.tar"
	}
	if f := m.Descriptor().Fields().ByName("format"); f != nil && f.Enum() != nil {
		if v := f.Enum().Values().ByNumber(m.Get(f).Enum()); v != nil && v.Name() == "EXPORT_FORMAT_CLOUDEVENTS_BATCH" {
			contentType, name = "application/cloudevents-batch+json", "events.json"
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	for ; ok; ok = stream.Receive() {
		if _, err := w.Write(stream.Msg().ProtoReflect().Get(chunk).Bytes()); err != nil {
			return // the client has gone
		}
	}
	if stream.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}
