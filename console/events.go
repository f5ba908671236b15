package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// eventQuery is what the address of the events page says, as typed.
type eventQuery struct {
	Type, Stream, Actor, Org, User, Subject, Tag string // several values are separated by spaces or commas
	From, To                                     string // UTC, as a browser writes datetime-local, or RFC 3339
	Order                                        string // "oldest" first; newest first otherwise
	Token                                        string // of the page
}

func readEventQuery(q url.Values) eventQuery {
	get := func(k string) string { return strings.TrimSpace(q.Get(k)) }
	return eventQuery{Type: get("type"), Stream: get("stream"), Actor: get("actor"), Org: get("org"), User: get("user"),
		Subject: get("subject"), Tag: get("tag"), From: get("from"), To: get("to"), Order: get("order"), Token: get("token")}
}

// values writes the query back, without empty fields.
func (q eventQuery) values() url.Values {
	out := url.Values{}
	for k, v := range map[string]string{"type": q.Type, "stream": q.Stream, "actor": q.Actor, "org": q.Org, "user": q.User,
		"subject": q.Subject, "tag": q.Tag, "from": q.From, "to": q.To, "order": q.Order, "token": q.Token} {
		if v != "" {
			out.Set(k, v)
		}
	}
	return out
}

// filter makes the API's filter of it. A field that cannot be right is an
// Invalid fault that names it.
func (q eventQuery) filter() (*munimentv1.EventFilter, error) {
	f := &munimentv1.EventFilter{Types: split(q.Type), Streams: split(q.Stream), Actors: split(q.Actor), OrganizationIds: split(q.Org),
		UserIds: split(q.User), SubjectIds: split(q.Subject), Tags: split(q.Tag)}
	for field, values := range map[string][]string{"stream": f.Streams, "actor": f.Actors} {
		for _, v := range values {
			kind, id, _ := strings.Cut(v, ":")
			if _, err := event.ParseID(id); kind == "" || err != nil && id != "*" {
				return nil, fault.Field(field, "write it as kind:id, such as user:0f3a…, with all 32 digits, or as kind:* for every one of a kind")
			}
		}
	}
	for field, values := range map[string][]string{"org": f.OrganizationIds, "user": f.UserIds, "subject": f.SubjectIds} {
		for _, v := range values {
			if _, err := event.ParseID(v); err != nil {
				return nil, fault.Field(field, "an id is 32 lower-case hexadecimal digits")
			}
		}
	}
	if q.Order != "" && q.Order != "oldest" {
		return nil, fault.Field("order", "is oldest, or left out for newest first")
	}
	var err error
	if f.From, err = readTime("from", q.From); err != nil {
		return nil, err
	}
	if f.To, err = readTime("to", q.To); err != nil {
		return nil, err
	}
	return f, nil
}

// split separates words at spaces and commas.
func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' })
}

// readTime reads a time as a browser's field writes it, in UTC, or RFC 3339.
func readTime(field, s string) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, fault.Field(field, "write a time as 2026-01-31T15:04, in UTC")
}

// eventsPage is the data of events.html.
type eventsPage struct {
	Query    eventQuery
	Orgs     []option
	Types    []*munimentv1.EventType
	Days     []eventDay
	Last     uint64 // position of the newest event shown; where live begins
	Older    string // path of the next page
	Newest   string // path of the first page
	Live     bool
	LiveHref string // of the toggle
	Stream   string // path of the live stream
	Filtered bool
	Problem  string
	Field    string
	Curl     same
	Paged    bool
	Whole    bool // they may see all of the instance
}

// eventDay is what happened on one day, newest first.
type eventDay struct {
	Day    time.Time
	Events []*munimentv1.Event
}

// eventLine is one event, or a run of reads of the log: each look at it is
// recorded, and would otherwise bury what happened.
type eventLine struct {
	Event *munimentv1.Event   // nil for a run
	Reads []*munimentv1.Event // next to each other
}

// group makes lines of events, with runs of reads in one.
func group(events []*munimentv1.Event) []eventLine {
	var lines []eventLine
	for _, e := range events {
		last := len(lines) - 1
		switch {
		case e.GetType() != "audit.read":
			lines = append(lines, eventLine{Event: e})
		case last >= 0 && lines[last].Reads != nil:
			lines[last].Reads = append(lines[last].Reads, e)
		default:
			lines = append(lines, eventLine{Reads: []*munimentv1.Event{e}})
		}
	}
	return lines
}

func (v *visit) events() error {
	q := readEventQuery(v.r.URL.Query())
	p := eventsPage{Query: q, Live: v.r.URL.Query().Get("live") != "", Paged: q.Token != "", Whole: v.me.auditsAll()}
	filter, err := q.filter()
	if err == nil {
		var got *munimentv1.ListEventsResponse
		got, err = v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: filter, Descending: q.Order == "", PageSize: pageSize, PageToken: q.Token})
		err = v.c.AsFault(err)
		if err == nil {
			v.fillEvents(&p, got)
		}
	}
	if fault.Is(err, fault.Invalid) {
		p.Problem, p.Field, p.Live = page.Sentence(fault.Public(err)), faultField(err), false
	} else if err != nil {
		return err
	}
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	types, err := v.c.API.Event.ListEventTypes(v.ctx, &munimentv1.ListEventTypesRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	p.Types = newestRevisions(types.GetTypes())
	view := page.View{Nav: "events", Title: "Events", Data: p}
	status := 200
	if p.Problem != "" {
		status = 422
	}
	if p.Live {
		view.Script, view.Calls, view.Reload = "live.js", true, 15
	}
	return v.showAs(status, "events", view)
}

// newestRevisions keeps one line per name.
func newestRevisions(types []*munimentv1.EventType) []*munimentv1.EventType {
	var out []*munimentv1.EventType
	for _, t := range types {
		if n := len(out); n > 0 && out[n-1].GetName() == t.GetName() {
			out[n-1] = t
			continue
		}
		out = append(out, t)
	}
	return out
}

// fillEvents sorts events by day and finds the addresses around them.
func (v *visit) fillEvents(p *eventsPage, got *munimentv1.ListEventsResponse) {
	for _, e := range got.GetEvents() {
		p.Last = max(p.Last, e.GetPosition())
		day := instant(e.GetTime()).UTC().Truncate(24 * time.Hour)
		if n := len(p.Days); n == 0 || !p.Days[n-1].Day.Equal(day) {
			p.Days = append(p.Days, eventDay{Day: day})
		}
		d := &p.Days[len(p.Days)-1]
		d.Events = append(d.Events, e)
	}
	at := func(q url.Values) string {
		if len(q) == 0 {
			return "/console/events"
		}
		return "/console/events?" + q.Encode()
	}
	first := p.Query
	first.Token = ""
	p.Newest, p.Filtered = at(first.values()), len(first.values()) > 0
	if got.GetNextPageToken() != "" {
		older := p.Query
		older.Token = got.GetNextPageToken()
		p.Older = at(older.values())
	}
	live := first.values()
	live.Del("order")
	p.LiveHref = p.Newest
	if !p.Live {
		live.Set("live", "1")
		p.LiveHref = at(live)
		live.Del("live")
	}
	live.Set("after", strconv.FormatUint(p.Last, 10))
	p.Stream = "/console/events/live?" + live.Encode()
	q := p.Query
	pairs := []string{"descending", strconv.FormatBool(q.Order == ""), "filter.from", stamp(q.From), "filter.to", stamp(q.To)}
	for _, l := range []struct{ name, values string }{{"types", q.Type}, {"streams", q.Stream}, {"actors", q.Actor},
		{"organization_ids", q.Org}, {"user_ids", q.User}, {"subject_ids", q.Subject}, {"tags", q.Tag}} {
		for _, v := range split(l.values) {
			pairs = append(pairs, "filter."+l.name, v)
		}
	}
	p.Curl = v.same("event list", "/v1/events", pairs...)
}

// stamp writes a time of the form as the API reads it; "" if there is none.
func stamp(s string) string {
	t, err := readTime("", s)
	if err != nil || t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339)
}
