package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/audit"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/server"
)

// happening is an event as timeline writes it, wherever it was read.
type happening struct {
	N        uint64         `json:"n"`
	Time     time.Time      `json:"time"`
	Type     string         `json:"type"`
	Actor    string         `json:"actor"`
	Stream   string         `json:"stream"`
	Sentence string         `json:"sentence"`
	Data     map[string]any `json:"data,omitempty"`
	fields   []string       // path=value, in their order
}

// add adds a field; sealed ones that cannot be seen say so.
func (h *happening) add(path string, value any, state string) {
	if h.Data == nil {
		h.Data = map[string]any{}
	}
	if state != "" {
		value = state
	}
	h.Data[path] = value
	h.fields = append(h.fields, path+"="+inLine(value))
}

// inLine is a value on one line: a nested one as JSON.
func inLine(value any) string {
	switch value.(type) {
	case map[string]any, []any:
		if b, err := json.Marshal(value); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(value)
}

func (h *happening) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(h)
	}
	_, err := fmt.Fprintf(w, "%6d  %s  %-30s  %s\n", h.N, h.Time.UTC().Format("2006-01-02 15:04:05"), clean(h.Type), clean(h.Sentence))
	if err == nil && len(h.fields) > 0 {
		_, err = fmt.Fprintf(w, "        by %s  %s\n", clean(h.Actor), clean(strings.Join(h.fields, "  ")))
	}
	return err
}

// timelineFlags are what timeline was asked for.
type timelineFlags struct {
	*asked
	user, stream, actor, typ, org string
	since, until                  string
	after                         uint64
	limit                         int
	data                          string
	plain, unseal                 bool
}

func timeline(ctx context.Context, env Env, args []string) error {
	f := &timelineFlags{asked: ask("timeline", "[KIND:ID] [--user ID] [--since TIME] [flags]",
		"What happened, event by event, oldest first: its place in the log, time, type, sentence, actor and data; of one thing (household:UUID), or of whatever the flags say. From a server, whose log then records that it was read; or with --data from a data directory or a database, which is not changed.")}
	f.StringVar(&f.user, "user", "", "about this user, acted on or acting: an id")
	f.StringVar(&f.stream, "stream", "", "of this stream: kind:id")
	f.StringVar(&f.actor, "actor", "", "by this actor: kind:id")
	f.StringVar(&f.typ, "type", "", "of these types, separated by commas; user.* is all that begin so")
	f.StringVar(&f.org, "organization", "", "that belong to this organization: an id")
	f.StringVar(&f.since, "since", "", "at or after this time, in UTC, or so long ago: 36h")
	f.StringVar(&f.until, "until", "", "before this time, in UTC, or so long ago")
	f.Uint64Var(&f.after, "after", 0, "after this position")
	f.IntVar(&f.limit, "limit", 1000, "at most so many events; 0: all")
	f.BoolVar(&f.plain, "plain", false, "one line for each, without actor and data")
	f.StringVar(&f.data, "data", "", "data directory, or postgres:// of a log, to read instead of asking a server")
	f.BoolVar(&f.unseal, "unseal", false, "with --data: open sealed fields with the keys in it; the server must be stopped")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	switch {
	case len(rest) == 1 && f.stream == "" && strings.Contains(rest[0], ":"):
		f.stream = rest[0]
	case len(rest) > 0:
		return &Usage{clean(rest[len(rest)-1]) + " is not expected here; one thing is written kind:id"}
	}
	if f.data != "" {
		return f.offline(ctx, env)
	}
	return f.online(ctx, env)
}

// list is what a flag holds, if anything.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// filter is what the flags ask a server for.
func (f *timelineFlags) filter() (*munimentv1.EventFilter, error) {
	m := &munimentv1.EventFilter{Types: list(f.typ), Streams: list(f.stream), Actors: list(f.actor), OrganizationIds: list(f.org),
		UserIds: list(f.user), AfterPosition: f.after}
	var err error
	if m.From, err = moment("since", f.since, time.Now()); err != nil {
		return nil, err
	}
	m.To, err = moment("until", f.until, time.Now())
	return m, err
}

func (f *timelineFlags) online(ctx context.Context, env Env) error {
	filter, err := f.filter()
	if err != nil {
		return err
	}
	c, err := f.clients(ctx, env)
	if err != nil {
		return err
	}
	req := &munimentv1.ListEventsRequest{Filter: filter, WithFields: !f.plain}
	for shown := 0; ; {
		req.PageSize = 1000
		if f.limit > 0 {
			req.PageSize = int32(min(1000, f.limit-shown))
		}
		page, err := c.Event.ListEvents(ctx, req)
		if err != nil {
			return answered(err)
		}
		for _, e := range page.GetEvents() {
			if err := told(e).write(env.Stdout, f.json); err != nil {
				return err
			}
		}
		shown += len(page.GetEvents())
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
		if f.limit > 0 && shown >= f.limit {
			fmt.Fprintf(env.Stderr, "There is more: --limit 0, or a larger one.\n")
			return nil
		}
	}
}

// told is an event as the API tells it.
func told(e *munimentv1.Event) *happening {
	h := &happening{N: e.GetPosition(), Time: e.GetTime().AsTime(), Type: e.GetType(), Stream: e.GetStream(), Sentence: e.GetSentence(),
		Actor: e.GetActor().GetKind() + ":" + e.GetActor().GetId()}
	for _, c := range e.GetFields() {
		h.add(c.GetPath(), plainly(c.GetAfter()), state(c.GetAfter()))
	}
	return h
}

// state says why a value is not shown; empty if it is.
func state(v *munimentv1.FieldValue) string {
	switch {
	case v.GetErased():
		return "(erased)"
	case v.GetWithheld():
		return "(withheld)"
	case v.GetValue() == nil:
		return "(none)"
	}
	return ""
}

func plainly(v *munimentv1.FieldValue) any {
	if v.GetValue() == nil {
		return nil
	}
	if x, err := event.ParseJSON([]byte(v.GetValueJson())); err == nil {
		return x
	}
	if x := v.GetValue().AsInterface(); x != nil {
		return x
	}
	b, _ := protojson.Marshal(v.GetValue())
	return string(b)
}

// audit is what the flags ask a data directory for.
func (f *timelineFlags) audit() (a audit.Filter, err error) {
	m, err := f.filter()
	if err != nil {
		return a, err
	}
	a = audit.Filter{Types: m.GetTypes(), After: event.Position(f.after), From: at(m.GetFrom()), To: at(m.GetTo())}
	for _, s := range m.GetStreams() {
		x, err := event.ParseStream(s)
		if err != nil {
			return a, &Usage{"--stream: " + fault.Public(err)}
		}
		a.Streams = append(a.Streams, x)
	}
	for _, s := range m.GetActors() {
		x, err := event.ParseActor(s)
		if err != nil {
			return a, &Usage{"--actor: " + fault.Public(err)}
		}
		a.Actors = append(a.Actors, x)
	}
	for _, ids := range []struct {
		flag string
		text []string
		to   *[]event.ID
	}{{"organization", m.GetOrganizationIds(), &a.Organizations}, {"user", m.GetUserIds(), &a.Users}} {
		for _, s := range ids.text {
			id, err := event.ParseID(s)
			if err != nil {
				return a, &Usage{"--" + ids.flag + ": " + fault.Public(err)}
			}
			*ids.to = append(*ids.to, id)
		}
	}
	if err := a.Check(); err != nil {
		return a, &Usage{err.Error()}
	}
	return a, nil
}

func at(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func (f *timelineFlags) offline(ctx context.Context, env Env) error {
	filter, err := f.audit()
	if err != nil {
		return err
	}
	r, err := openDirectory(ctx, f.data, f.unseal)
	if err != nil {
		return err
	}
	defer r.Close()
	shown := 0
	for e, err := range r.Events(ctx, filter) {
		if err != nil {
			return &failure{msg: clean(fault.Public(err))}
		}
		if f.limit > 0 && shown == f.limit {
			fmt.Fprintf(env.Stderr, "There is more: --limit 0, or a larger one.\n")
			return nil
		}
		shown++
		if err := stored(e, !f.plain).write(env.Stdout, f.json); err != nil {
			return err
		}
	}
	return nil
}

func openDirectory(ctx context.Context, dir string, unseal bool) (*ops.Reading, error) {
	where := ops.LogAt(dir)
	if _, err := os.Stat(dir); err != nil && where.Log != dir {
		return nil, &Usage{"--data: there is no directory " + clean(dir)}
	}
	if unseal && where.Log == dir {
		return nil, &Usage{"--unseal needs a data directory: the keys are not in the database of the log"}
	}
	r, err := ops.OpenReading(ctx, where, server.Registry(), unseal)
	if err != nil {
		return nil, &failure{msg: clean(fault.Public(err))}
	}
	return r, nil
}

// stored is an event as a data directory holds it.
func stored(e *audit.Entry, fields bool) *happening {
	r := e.Record
	h := &happening{N: uint64(r.Position), Time: r.Time, Type: r.Type, Stream: r.Stream.String(), Sentence: e.Sentence, Actor: r.Actor.String()}
	if fields {
		for _, f := range e.Fields {
			h.add(f.Path(), f.Value, shownAs(f.Shown))
		}
	}
	return h
}

func shownAs(s audit.Shown) string {
	if s.State == event.Present {
		return ""
	}
	return s.Text()
}
