package auditapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

// world is an instance with a history: two organizations, a project, an erasure.
func world(t *testing.T) (i *instancetest.Instance, mine, person, gone string) {
	i = instancetest.New(t)
	mine = i.Organization()
	person = i.Person(mine)
	project := i.Project(mine)
	i.Application(project)
	i.Person(i.Organization())
	instancetest.Must(i.API.Grant.GrantRole(i.AsOwner(), &munimentv1.GrantRoleRequest{UserId: person, ProjectId: project, RoleKeys: []string{"editor"}}))
	name := "Adele"
	instancetest.Must(i.API.User.ChangeProfile(i.As(person), &munimentv1.ChangeProfileRequest{UserId: person, GivenName: &name}))
	i.SignedIn(person)
	gone = i.Person(mine)
	instancetest.Must(i.API.User.EraseUser(i.AsOwner(), &munimentv1.EraseUserRequest{UserId: gone}))
	i.Erased(gone)
	return i, mine, person, gone
}

// list answers all events that match, over pages of a size.
func list(ctx context.Context, i *instancetest.Instance, f *munimentv1.EventFilter, desc bool, size int32) (out []*munimentv1.Event) {
	req := &munimentv1.ListEventsRequest{Filter: f, Descending: desc, PageSize: size, WithFields: true}
	for {
		got := instancetest.Must(i.API.Event.ListEvents(ctx, req))
		out = append(out, got.GetEvents()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return out
		}
	}
}

// watch answers what a stream brings that ends before a position.
func watch(t *testing.T, ctx context.Context, i *instancetest.Instance, f *munimentv1.EventFilter) (out []*munimentv1.Event) {
	t.Helper()
	stream, err := i.API.Event.WatchEvents(ctx, &munimentv1.WatchEventsRequest{Filter: f, WithFields: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		if e := stream.Msg().GetEvent(); e != nil {
			out = append(out, e)
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return out
}

// export answers the entries of a file, and the last, by which it is whole.
func export(t *testing.T, ctx context.Context, i *instancetest.Instance, req *munimentv1.ExportEventsRequest) (entries []map[string]any, trailer map[string]any) {
	t.Helper()
	stream, err := i.API.Event.ExportEvents(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var file strings.Builder
	complete := false
	for stream.Receive() {
		file.Write(stream.Msg().GetChunk())
		complete = stream.Msg().GetComplete()
	}
	if stream.Err() != nil || !complete {
		t.Fatalf("the export ended with %v, complete: %v", stream.Err(), complete)
	}
	if req.GetFormat() == munimentv1.ExportFormat_EXPORT_FORMAT_CLOUDEVENTS_BATCH {
		if err := json.Unmarshal([]byte(file.String()), &entries); err != nil {
			t.Fatal(err)
		}
	} else {
		lines := bufio.NewScanner(strings.NewReader(file.String()))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e map[string]any
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			entries = append(entries, e)
		}
	}
	return entries[:len(entries)-1], entries[len(entries)-1]
}

// seen is what a caller is shown of events, fields included.
func seen(events []*munimentv1.Event) (out []string) {
	for _, e := range events {
		s := fmt.Sprintf("%d %s", e.GetPosition(), e.GetSentence())
		for _, f := range e.GetFields() {
			s += fmt.Sprintf(" %s=%v/%v/%v", f.GetPath(), f.GetAfter().GetValue().AsInterface(), f.GetAfter().GetErased(), f.GetAfter().GetWithheld())
		}
		out = append(out, s)
	}
	return out
}

// Whether an event may be seen, and what of it, does not depend on how it is
// asked for: as a list, forwards or backwards, as a stream, or as a file.
func TestWhoSeesWhat(t *testing.T) {
	i, mine, person, gone := world(t)
	foreign := i.Organization()
	whole := instancetest.Must(i.API.Instance.GetInstance(i.AsOwner(), &munimentv1.GetInstanceRequest{})).GetInstance().GetPosition()
	bound := &munimentv1.EventFilter{BeforePosition: whole + 1}
	all := list(i.AsOwner(), i, bound, false, 1000)
	if len(all) != int(whole) {
		t.Fatalf("the owner sees %d of %d events", len(all), whole)
	}
	tagged := func(e *munimentv1.Event, tag string) bool { return slices.Contains(e.GetTags(), tag) }
	own := func(e *munimentv1.Event, who string) bool {
		return tagged(e, "user:"+who) || e.GetActor().GetKind() == "user" && e.GetActor().GetId() == who
	}
	for name, c := range map[string]struct {
		who   string
		sees  func(*munimentv1.Event, string) bool
		opens bool // what is sealed
	}{
		"owner":   {i.Owner, func(*munimentv1.Event, string) bool { return true }, true},
		"auditor": {i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR), func(e *munimentv1.Event, who string) bool { return tagged(e, "org:"+mine) || own(e, who) }, true},
		"viewer":  {i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_VIEWER), own, false},
		"admin of another organization": {i.Member(foreign, munimentv1.MemberRole_MEMBER_ROLE_ADMIN), func(e *munimentv1.Event, who string) bool {
			return tagged(e, "org:"+foreign) || own(e, who)
		}, false},
		"the person themself": {person, own, true},
	} {
		ctx := i.As(c.who)
		var want []string
		for _, e := range all {
			if c.sees(e, c.who) {
				want = append(want, strconv.FormatUint(e.GetPosition(), 10))
			}
		}
		first := list(ctx, i, bound, false, 7)
		back := list(ctx, i, bound, true, 7)
		slices.Reverse(back)
		streamed := watch(t, ctx, i, bound)
		var positions []string
		for _, e := range first {
			positions = append(positions, strconv.FormatUint(e.GetPosition(), 10))
		}
		if !slices.Equal(positions, want) {
			t.Errorf("%s sees %v, want %v", name, positions, want)
		}
		for how, other := range map[string][]*munimentv1.Event{"backwards": back, "as a stream": streamed} {
			if !slices.Equal(seen(first), seen(other)) {
				t.Errorf("%s: %s it is\n%q, want\n%q", name, how, seen(other), seen(first))
			}
		}
		entries, _ := export(t, ctx, i, &munimentv1.ExportEventsRequest{Filter: bound})
		if len(entries) != len(first) {
			t.Fatalf("%s: %d events are exported, %d shown", name, len(entries), len(first))
		}
		for n, e := range entries {
			got, _ := json.Marshal(e["fields"])
			for _, f := range first[n].GetFields() {
				withheld := f.GetAfter().GetWithheld()
				if withheld != strings.Contains(string(got), `"withheld":true`) && withheld {
					t.Errorf("%s: event %v is withheld in a list, and %s in a file", name, e["position"], got)
				}
			}
			if text, _ := first[n].GetFields(), got; strings.Contains(fmt.Sprint(seen(first[n:n+1])), "/true/false") != strings.Contains(string(got), `"erased":true`) {
				t.Errorf("%s: event %v: %v in a list, %s in a file", name, e["position"], text, got)
			}
		}
		if shown := strings.Contains(strings.Join(seen(first), " "), "Adele"); shown != (c.opens && len(first) > 0) {
			t.Errorf("%s: the sealed name is shown: %v", name, shown)
		}
	}
	if s := strings.Join(seen(list(i.AsOwner(), i, &munimentv1.EventFilter{Streams: []string{"user:" + gone}}, false, 10)), " "); !strings.Contains(s, "/true/false") {
		t.Errorf("nothing is erased: %s", s)
	}
}

// Any combination of conditions finds what meets all of them, in either order
// and over pages of any size.
func TestFiltersAgree(t *testing.T) {
	i, mine, person, _ := world(t)
	ctx := i.AsOwner()
	whole := instancetest.Must(i.API.Instance.GetInstance(ctx, &munimentv1.GetInstanceRequest{})).GetInstance().GetPosition()
	all := list(ctx, i, &munimentv1.EventFilter{BeforePosition: whole + 1}, false, 1000)
	random := rand.New(rand.NewPCG(3, 12))
	pick := func() *munimentv1.Event { return all[random.IntN(len(all))] }
	some := func(value func() string) (out []string) {
		for range random.IntN(3) {
			if v := value(); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
	kind := func(s string) string { k, _, _ := strings.Cut(s, ":"); return k + ":*" }
	found := 0
	for range 150 {
		f := &munimentv1.EventFilter{BeforePosition: whole + 1}
		switch random.IntN(3) {
		case 0:
			f.Types = some(func() string { p, _, _ := strings.Cut(pick().GetType(), "."); return p + ".*" })
		case 1:
			f.Types = some(func() string { return pick().GetType() })
		}
		f.Streams = some(func() string {
			if random.IntN(2) == 0 {
				return kind(pick().GetStream())
			}
			return pick().GetStream()
		})
		f.Actors = some(func() string {
			a := pick().GetActor()
			if random.IntN(2) == 0 {
				return a.GetKind() + ":*"
			}
			return a.GetKind() + ":" + a.GetId()
		})
		if random.IntN(2) == 0 {
			f.OrganizationIds = some(func() string { return pick().GetOrganizationId() })
		}
		if random.IntN(3) == 0 {
			f.UserIds = []string{person}
		}
		if random.IntN(3) == 0 {
			f.Tags = []string{"org:" + mine}
		}
		if random.IntN(3) == 0 {
			f.From = pick().GetTime()
		}
		if random.IntN(3) == 0 {
			f.AfterPosition = uint64(random.IntN(int(whole) + 1))
		}
		var want []string
		for _, e := range all {
			if meets(f, e) {
				want = append(want, seen([]*munimentv1.Event{e})...)
			}
		}
		found += len(want)
		got := list(ctx, i, f, false, int32(1+random.IntN(20)))
		back := list(ctx, i, f, true, int32(1+random.IntN(20)))
		slices.Reverse(back)
		if !slices.Equal(seen(got), want) || !slices.Equal(seen(back), want) {
			t.Fatalf("%v: found %d, backwards %d, want %d", f, len(got), len(back), len(want))
		}
	}
	if found == 0 {
		t.Error("no filter found anything")
	}
}

// meets is what the comments of EventFilter say.
func meets(f *munimentv1.EventFilter, e *munimentv1.Event) bool {
	one := func(wanted []string, is func(string) bool) bool {
		return len(wanted) == 0 || slices.ContainsFunc(wanted, is)
	}
	begins := func(text string) func(string) bool {
		return func(w string) bool {
			p, all := strings.CutSuffix(w, "*")
			return w == text || all && strings.HasPrefix(text, p)
		}
	}
	actor := e.GetActor().GetKind() + ":" + e.GetActor().GetId()
	return one(f.GetTypes(), begins(e.GetType())) && one(f.GetStreams(), begins(e.GetStream())) && one(f.GetActors(), begins(actor)) &&
		one(f.GetOrganizationIds(), func(o string) bool { return slices.Contains(e.GetTags(), "org:"+o) }) &&
		one(f.GetUserIds(), func(u string) bool { return slices.Contains(e.GetTags(), "user:"+u) || actor == "user:"+u }) &&
		!slices.ContainsFunc(f.GetTags(), func(tag string) bool { return !slices.Contains(e.GetTags(), tag) }) &&
		(f.GetFrom() == nil || !e.GetTime().AsTime().Before(f.GetFrom().AsTime())) && e.GetPosition() > f.GetAfterPosition()
}

// What a filter cannot be is refused with the name of the field.
func TestBadFilters(t *testing.T) {
	i := instancetest.New(t)
	many := make([]string, 51)
	for n := range many {
		many[n] = event.NewID().String()
	}
	for field, f := range map[string]*munimentv1.EventFilter{
		"filter.types[1]":            {Types: []string{"user.*", "User!"}},
		"filter.streams[0]":          {Streams: []string{"user"}},
		"filter.streams[1]":          {Streams: []string{"user:*", "*:1"}},
		"filter.actors[0]":           {Actors: []string{"user:" + strings.Repeat("0", 32)}},
		"filter.organization_ids[0]": {OrganizationIds: []string{"x"}},
		"filter.organization_ids":    {OrganizationIds: many},
		"filter.user_ids[0]":         {UserIds: []string{strings.Repeat("0", 32)}},
		"filter.subject_ids[0]":      {SubjectIds: []string{""}},
		"filter.tags[0]":             {Tags: []string{"org"}},
		"filter.before_position":     {AfterPosition: 5, BeforePosition: 5},
	} {
		_, err := i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{Filter: f})
		instancetest.Want(t, err, fault.Invalid, field)
	}
	_, err := i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{PageSize: 1001})
	instancetest.Want(t, err, fault.Invalid, "page_size")
	_, err = i.API.Event.ListEvents(i.AsOwner(), &munimentv1.ListEventsRequest{PageSize: 101, WithBefore: true})
	instancetest.Want(t, err, fault.Invalid, "page_size")
}
