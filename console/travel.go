package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// travel is a page's way through time: the point that it shows, and the form by
// which another is chosen.
type travel struct {
	Past    bool
	At      uint64 // position that is shown
	Time    time.Time
	Mark    uint64 // the last position there is
	Path    string // of the page
	Keep    []option
	Now     string // address of the page as things stand
	Compare string // address of what changed since; empty if that cannot be compared
}

// arrive reads the point of the past that an address names: "at" is a position
// or a time, "on" a time as a browser's field writes it. Whoever looks at the
// past changes nothing there.
func (v *visit) arrive() error {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return nil
	}
	q := v.r.URL.Query()
	at := q.Get("on")
	if at == "" {
		at = q.Get("at")
	}
	var err error
	if v.read, err = readPoint("at", at); err != nil {
		return err
	}
	v.me.past = v.read != nil
	return nil
}

// readPoint reads a position or a time; nil if there is none.
func readPoint(field, s string) (*munimentv1.Read, error) {
	if s == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && n > 0 {
		return &munimentv1.Read{AtPosition: n}, nil
	}
	t, err := readTime(field, s)
	if err != nil {
		return nil, fault.Field(field, "write a position, or a time as 2026-01-31T15:04, in UTC")
	}
	return &munimentv1.Read{AtTime: t}, nil
}

// travels gives the page a way through time. compared names what of it can be
// compared, as the compare page takes it; none if nothing can.
func (v *visit) travels(compared ...string) error {
	got, err := v.c.API.Instance.GetInstance(v.ctx, &munimentv1.GetInstanceRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	t := &travel{Mark: got.GetInstance().GetPosition(), At: got.GetInstance().GetPosition(), Path: v.r.URL.Path}
	if v.read != nil {
		then, err := v.c.API.Instance.GetInstance(v.ctx, &munimentv1.GetInstanceRequest{Read: v.read})
		if err != nil {
			return v.c.AsFault(err)
		}
		t.Past, t.At, t.Time = true, then.GetInstance().GetPosition(), instant(then.GetInstance().GetPositionTime())
	}
	q := v.r.URL.Query()
	for _, k := range []string{"at", "on", "token"} {
		q.Del(k)
	}
	for k := range q {
		t.Keep = append(t.Keep, option{k, q.Get(k)})
	}
	slices.SortFunc(t.Keep, func(a, b option) int { return strings.Compare(a.Value, b.Value) })
	if t.Now = t.Path; len(q) > 0 {
		t.Now += "?" + q.Encode()
	}
	if len(compared) == 2 {
		c := url.Values{compared[0]: {compared[1]}}
		if t.Past {
			c.Set("from", strconv.FormatUint(t.At, 10))
		}
		t.Compare = "/console/compare?" + c.Encode()
	}
	v.trip = t
	return nil
}

// point is the point of the past that a page shows, as parameters of the API.
func (v *visit) point() []string {
	switch {
	case v.read.GetAtPosition() > 0:
		return []string{"read.at_position", strconv.FormatUint(v.read.GetAtPosition(), 10)}
	case v.read.GetAtTime() != nil:
		return []string{"read.at_time", v.read.GetAtTime().AsTime().Format(time.RFC3339Nano)}
	}
	return nil
}

// comparePage is the data of compare.html.
type comparePage struct {
	Object, List string
	What         string
	From, To     string // as typed
	Orgs         []option
	Org          string
	Got          *munimentv1.CompareResponse
	Next         string
	Problem      string
	Field        string
	Curl         same
}

// lists that can be compared, and what they are called.
var comparedLists = []option{{"users", "People"}, {"organizations", "Organizations"}, {"projects", "Projects"}, {"roles", "Roles of projects"},
	{"applications", "Applications"}, {"grants", "Who holds which role"}, {"members", "Members"}, {"permissions", "Permissions on events"}, {"sessions", "Sessions"}, {"user_applications", "What applications hold of people"}, {"subscriptions", "Subscriptions"}, {"subscription_secrets", "Their signing secrets"}, {"adapters", "Adapters"}, {"hosted_instances", "Hosted instances"}, {"hosted_instance_hosts", "Their host names"},
	{"password_policies", "Password policies"}, {"lockout_policies", "Lockout policies"}, {"session_policies", "Session policies"}, {"token_policies", "Token policies"}}

func listName(list string) string {
	for _, l := range comparedLists {
		if l.Value == list {
			return l.Label
		}
	}
	return list
}

// compare shows what differs between two points.
func (v *visit) compare() error {
	q := v.r.URL.Query()
	p := comparePage{Object: q.Get("object"), List: q.Get("list"), From: q.Get("from"), To: q.Get("to"), Org: q.Get("org")}
	if p.Object == "" && p.List == "" {
		p.List = "users"
	}
	req := &munimentv1.CompareRequest{Filter: &munimentv1.Comparison{Object: p.Object, List: p.List, OrganizationId: p.Org}, PageSize: pageSize, PageToken: q.Get("token")}
	err := p.points(req)
	if err == nil {
		p.Got, err = v.c.API.History.Compare(v.ctx, req)
		err = v.c.AsFault(err)
	}
	status := http.StatusOK
	switch {
	case fault.Is(err, fault.Invalid):
		status, p.Problem, p.Field = http.StatusUnprocessableEntity, sentence(err), faultField(err)
	case err != nil:
		return err
	case p.Got.GetNextPageToken() != "":
		q.Set("token", p.Got.GetNextPageToken())
		p.Next = "/console/compare?" + q.Encode()
	}
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	pairs := []string{"filter.object", p.Object, "filter.list", p.List, "filter.organization_id", p.Org}
	pairs = append(pairs, pointPairs("from", req.GetFromPosition(), req.GetFromTime())...)
	p.Curl = v.same("history compare", "/v1/compare", append(pairs, pointPairs("to", req.GetToPosition(), req.GetToTime())...)...)
	p.What = v.compared(p)
	return v.showAs(status, "compare", v.view("", "What changed", p))
}

// compared is what is compared, in words.
func (v *visit) compared(p comparePage) string {
	kind, id, _ := cutStream(p.Object)
	switch kind {
	case "user":
		return or(userName(v.userOf(id)), "This person")
	case "organization":
		return or(v.orgName(id), "This organization")
	case "project":
		return or(v.projectOf(id).GetName(), "This project")
	case "application":
		return "This application"
	case "session":
		return "This session"
	case "instance":
		return "This instance"
	}
	return listName(p.List)
}

// points reads the two points of the form.
func (p *comparePage) points(req *munimentv1.CompareRequest) error {
	from, err := readPoint("from", p.From)
	if err != nil {
		return err
	}
	to, err := readPoint("to", p.To)
	if err != nil {
		return err
	}
	req.FromPosition, req.FromTime = from.GetAtPosition(), from.GetAtTime()
	req.ToPosition, req.ToTime = to.GetAtPosition(), to.GetAtTime()
	return nil
}

func pointPairs(name string, position uint64, t *timestamppb.Timestamp) []string {
	if t != nil {
		return []string{name + "_time", t.AsTime().Format(time.RFC3339Nano)}
	}
	if position > 0 {
		return []string{name + "_position", strconv.FormatUint(position, 10)}
	}
	return nil
}
