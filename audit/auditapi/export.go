package auditapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// An export is sent in chunks of about so many bytes. What the caller may see
// is asked anew for each run of so many records.
const (
	chunkSize = 64 << 10
	runLength = 500
)

// ExportEvents implements the EventService.
func (s *Service) ExportEvents(ctx context.Context, req *munimentv1.ExportEventsRequest, stream *connect.ServerStream[munimentv1.ExportEventsResponse]) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if s.Streams != nil {
		defer context.AfterFunc(s.Streams, func() { end(errStopping) })()
	}
	err := s.export(ctx, req, stream)
	if errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

func (s *Service) export(ctx context.Context, req *munimentv1.ExportEventsRequest, stream *connect.ServerStream[munimentv1.ExportEventsResponse]) error {
	c, err := call.CallerOf(ctx)
	if err != nil {
		return err
	}
	leave, err := s.watchers.enter(c.Actor())
	if err != nil {
		return err
	}
	defer leave()
	f, err := s.filter(req.GetFilter())
	if err != nil {
		return err
	}
	form, err := s.formOf(req.GetFormat())
	if err != nil {
		return err
	}
	sight, err := s.sightFor(ctx, f)
	if err != nil {
		return err
	}
	after, upto, err := audit.Span(ctx, s.Runner.Log, f)
	if err != nil {
		return err
	}
	if err := s.record(ctx, sight, audit.Read{Filter: "export: " + f.String(), From: int64(after) + 1, To: int64(upto)}); err != nil {
		return err
	}
	e := &export{form: form, send: stream.Send, at: after, upto: max(after, upto)}
	e.buf.WriteString(form.first)
	for e.at < upto {
		if err := s.exportRun(ctx, e, f, upto, details{fields: true, leaf: req.GetWithLeaf()}); err != nil {
			return err
		}
	}
	return e.finish(max(after, upto))
}

// exportRun exports a run of records, as far as the caller may see them now.
func (s *Service) exportRun(ctx context.Context, e *export, f audit.Filter, upto event.Position, want details) error {
	sight, err := s.sightFor(ctx, f)
	if err != nil {
		return err
	}
	q, err := s.query(f, sight)
	if err != nil {
		return err
	}
	n := 0
	for r, err := range s.Runner.Log.ReadTo(ctx, q, e.at, upto) {
		if err != nil {
			return fault.Wrap("export events", err)
		}
		if n == runLength {
			return nil
		}
		n++
		e.at = r.Position
		if !f.Matches(r) || !sight.Sees(r) {
			continue
		}
		m, err := s.detailed(ctx, r, sight, want)
		if err != nil {
			return err
		}
		if err := e.add(m); err != nil {
			return err
		}
	}
	e.at = upto
	return nil
}

// form is how events become a file.
type form struct {
	first, between, last string
	entry                func(*munimentv1.Event) ([]byte, error)
	trailer              func(count uint64, position event.Position) ([]byte, error)
}

func (s *Service) formOf(f munimentv1.ExportFormat) (form, error) {
	switch f {
	case munimentv1.ExportFormat_EXPORT_FORMAT_UNSPECIFIED, munimentv1.ExportFormat_EXPORT_FORMAT_JSONL:
		return form{between: "\n", last: "\n", entry: jsonLine, trailer: jsonTrailer}, nil
	case munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS:
		return form{between: "\n", last: "\n", entry: s.cloudEvent, trailer: s.cloudTrailer}, nil
	case munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS_BATCH:
		return form{first: "[\n", between: ",\n", last: "\n]\n", entry: s.cloudEvent, trailer: s.cloudTrailer}, nil
	}
	return form{}, fault.Field("format", "there is no such format")
}

// export is a file in the making.
type export struct {
	form
	send  func(*munimentv1.ExportEventsResponse) error
	buf   bytes.Buffer
	count uint64
	at    event.Position // everything up to here was looked at
	upto  event.Position // and is going to be up to here
}

func (e *export) add(m *munimentv1.Event) error {
	line, err := e.entry(m)
	if err != nil {
		return fault.Wrap("write an event", err)
	}
	e.buf.Write(line)
	e.buf.WriteString(e.between)
	e.count++
	if e.buf.Len() < chunkSize {
		return nil
	}
	return e.flush(false)
}

func (e *export) flush(complete bool) error {
	err := e.send(&munimentv1.ExportEventsResponse{Chunk: e.buf.Bytes(), Position: uint64(e.at), Count: e.count, Complete: complete, LastPosition: uint64(e.upto)})
	e.buf.Reset()
	return err
}

// finish writes the last entry, by which a whole file is told from one that was
// interrupted.
func (e *export) finish(at event.Position) error {
	line, err := e.trailer(e.count, at)
	if err != nil {
		return err
	}
	e.at = at
	e.buf.Write(line)
	e.buf.WriteString(e.last)
	return e.flush(true)
}

// jsonLine is an event as JSON on one line, as the API writes it.
func jsonLine(m *munimentv1.Event) ([]byte, error) { return compact(m) }

func jsonTrailer(count uint64, at event.Position) ([]byte, error) {
	return json.Marshal(map[string]map[string]string{"export": {"complete": "true", "count": strconv.FormatUint(count, 10), "position": strconv.FormatUint(uint64(at), 10)}})
}

// compact is the one JSON of a message: protojson varies its spaces on purpose.
func compact(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}
