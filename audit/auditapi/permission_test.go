package auditapi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/internal/instancetest"
)

const (
	publish = munimentv1.EventRight_EVENT_RIGHT_PUBLISH
	read    = munimentv1.EventRight_EVENT_RIGHT_READ
	unseal  = munimentv1.EventRight_EVENT_RIGHT_UNSEAL
)

// customers are types that no program was compiled with.
var customers = []string{"household-registered", "household-moved", "order.paid", "OrderCreated"}

// types makes the instance know them.
func types(i *instancetest.Instance) {
	for _, name := range customers {
		d := event.Descriptor{Type: name, Revision: 1, Sentence: "{actor} recorded {place}", Fields: []event.Field{
			{Name: "thing", Kind: event.IDRef, Public: true},
			{Name: "organization", Kind: event.IDRef, Public: true, Tag: "org"},
			{Name: "place", Kind: event.Text, Of: "thing"},
		}}
		if err := i.Core.Sealer.Registry.Add(i.Core.Log.ID(), d); err != nil {
			panic(err)
		}
	}
}

// happen is one event of a customer's type.
type happen struct {
	name string
	org  string // may be empty
}

// publishing is what whoever publishes such an event must be permitted.
var publishing = decide.Decider[struct{}, happen]{
	Name:   "publish an event",
	Query:  func(happen) []decide.Facts { return nil },
	Evolve: func(s struct{}, _ event.Fact) struct{} { return s },
	Allow: func(a authz.Authority, _ struct{}, c happen) error {
		return a.NeedPublish(c.name, organization(c.org))
	},
	Decide: func(_ struct{}, c happen) ([]event.New, error) {
		thing := event.NewID()
		return []event.New{{Stream: event.Stream{Kind: "thing", ID: thing}, Payload: event.Custom{Type: c.name, Revision: 1,
			Fields: map[string]any{"thing": thing, "organization": organization(c.org), "place": "Lhasa"}}}}, nil
	},
}

func organization(text string) event.ID {
	if text == "" {
		return event.ID{}
	}
	return event.MustID(text)
}

func occurs(ctx context.Context, i *instancetest.Instance, as event.Actor, c happen) error {
	_, err := decide.Run(ctx, i.Core.Runner, publishing, decide.Envelope{Actor: as}, c)
	return err
}

func permit(i *instancetest.Instance, who string, right munimentv1.EventRight, types, org string) *munimentv1.GrantPermissionRequest {
	g := &munimentv1.GrantPermissionRequest{UserId: who, Right: right, EventTypes: types, Scope: instancetest.In(org)}
	instancetest.Must(i.API.Permission.GrantPermission(i.AsOwner(), g))
	return g
}

func withdraw(i *instancetest.Instance, g *munimentv1.GrantPermissionRequest) uint64 {
	return instancetest.Must(i.API.Permission.WithdrawPermission(i.AsOwner(), &munimentv1.WithdrawPermissionRequest{
		UserId: g.GetUserId(), Right: g.GetRight(), EventTypes: g.GetEventTypes(), Scope: g.GetScope()})).GetChange().GetPosition()
}

// has is what the comments of Permission say.
func has(list []*munimentv1.GrantPermissionRequest, right munimentv1.EventRight, e *munimentv1.Event) bool {
	return slices.ContainsFunc(list, func(g *munimentv1.GrantPermissionRequest) bool {
		prefix, all := strings.CutSuffix(g.GetEventTypes(), "*")
		org := g.GetScope().GetOrganizationId()
		return g.GetRight() == right && (e.GetType() == g.GetEventTypes() || all && strings.HasPrefix(e.GetType(), prefix)) &&
			(org == "" || slices.Contains(e.GetTags(), "org:"+org))
	})
}

// With whatever permissions, whatever is asked for and however: what a program
// is shown is what the owner is shown, less what the permissions do not give;
// and what is sealed is open to it exactly if they say so (S05, S13, S14).
func TestRestrictedIsFiltered(t *testing.T) {
	i, mine, _, _ := world(t)
	types(i)
	other, random := i.Organization(), rand.New(rand.NewPCG(8, 1))
	for n := range 24 {
		if err := occurs(t.Context(), i, event.System, happen{customers[n%4], []string{mine, other, ""}[random.IntN(3)]}); err != nil {
			t.Fatal(err)
		}
	}
	whole := instancetest.Must(i.API.Instance.GetInstance(i.AsOwner(), &munimentv1.GetInstanceRequest{})).GetInstance().GetPosition()
	all := list(i.AsOwner(), i, &munimentv1.EventFilter{BeforePosition: whole + 1}, false, 1000)
	patterns := append([]string{"*", "household-*", "order.*", "user.*", "user.registered", "grant.*"}, customers...)
	shown, opened, refused := 0, 0, 0
	for range 40 {
		who := i.Machine(i.Org)
		var held []*munimentv1.GrantPermissionRequest
		pick := func(list ...string) string { return list[random.IntN(len(list))] }
		for range random.IntN(5) {
			g := &munimentv1.GrantPermissionRequest{UserId: who, Right: []munimentv1.EventRight{read, read, unseal, publish}[random.IntN(4)],
				EventTypes: pick(patterns...), Scope: instancetest.In(pick(mine, mine, other, ""))}
			for range 1 + random.IntN(2) {
				if _, err := i.API.Permission.GrantPermission(i.AsOwner(), g); err == nil {
					held = append(held, g)
				}
				g = proto.CloneOf(g)
				g.Right = unseal
			}
		}
		f := &munimentv1.EventFilter{BeforePosition: whole + 1}
		for range random.IntN(3) {
			f.Types = append(f.Types, pick(patterns...))
		}
		if random.IntN(3) == 0 {
			f.OrganizationIds = []string{pick(mine, other)}
		}
		var want []*munimentv1.Event
		for _, e := range all {
			if meets(f, e) && has(held, read, e) {
				want = append(want, e)
			}
		}
		got, err := i.API.Event.ListEvents(i.As(who), &munimentv1.ListEventsRequest{Filter: f, PageSize: 1000, WithFields: true})
		if err != nil {
			instancetest.Want(t, err, fault.Denied, "")
			if refused++; slices.ContainsFunc(f.Types, func(p string) bool { return mayMeet(held, p, f.GetOrganizationIds()) }) && len(f.Types) == 1 {
				t.Errorf("%v is refused %v", held, f)
			}
			continue
		}
		events := got.GetEvents()
		back := list(i.As(who), i, f, true, int32(1+random.IntN(30)))
		slices.Reverse(back)
		if !slices.Equal(places(events), places(want)) || !slices.Equal(places(back), places(want)) || !slices.Equal(places(watch(t, i.As(who), i, f)), places(want)) {
			t.Fatalf("%v: %v shows %v, want %v", held, f, places(events), places(want))
		}
		if entries, _ := export(t, i.As(who), i, &munimentv1.ExportEventsRequest{Filter: f}); len(entries) != len(want) {
			t.Fatalf("%v: %v exports %d events, want %d", held, f, len(entries), len(want))
		}
		shown += len(events)
		for n, e := range events {
			opened += sealedAsHeld(t, e, want[n], has(held, unseal, e))
		}
	}
	if shown == 0 || opened == 0 || refused == 0 {
		t.Errorf("%d events shown, %d fields opened, %d requests refused", shown, opened, refused)
	}
}

// mayMeet reports whether one of the permissions to read may have to do with a
// pattern in one of the organizations.
func mayMeet(held []*munimentv1.GrantPermissionRequest, pattern string, orgs []string) bool {
	return slices.ContainsFunc(held, func(g *munimentv1.GrantPermissionRequest) bool {
		a, b, org := authz.EventTypes(g.GetEventTypes()), authz.EventTypes(pattern), g.GetScope().GetOrganizationId()
		return g.GetRight() == read && a.Meets(b) && (org == "" || len(orgs) == 0 || slices.Contains(orgs, org))
	})
}

// sealedAsHeld counts the sealed fields of an event that are open, which the
// owner sees as full says.
func sealedAsHeld(t *testing.T, e, full *munimentv1.Event, may bool) (open int) {
	t.Helper()
	for n, f := range e.GetFields() {
		if !f.GetSealed() || full.GetFields()[n].GetAfter().GetWithheld() || full.GetFields()[n].GetAfter().GetErased() {
			continue
		}
		if f.GetAfter().GetWithheld() == may {
			t.Errorf("%s%s is withheld: %v", e.GetType(), f.GetPath(), f.GetAfter().GetWithheld())
		}
		if may {
			open++
		}
	}
	return open
}

func places(events []*munimentv1.Event) (out []uint64) {
	for _, e := range events {
		out = append(out, e.GetPosition())
	}
	return out
}

// Naming a type that one may not read is refused, and recorded; who names none
// is shown what they may see; and people see what is about themselves.
func TestForbiddenTypes(t *testing.T) {
	i, mine, person, _ := world(t)
	types(i)
	other := i.Organization()
	bi, till := i.Machine(mine), i.Machine(mine)
	permit(i, bi, read, "household-*", mine)
	permit(i, till, publish, "OrderCreated", mine)
	auditor := i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_AUDITOR)
	type filter = munimentv1.EventFilter
	refused := 0
	for name, c := range map[string]struct {
		who  string
		f    *filter
		want bool
	}{
		"its type":                           {bi, &filter{Types: []string{"household-moved"}}, true},
		"its types":                          {bi, &filter{Types: []string{"household-*"}}, true},
		"all types":                          {bi, &filter{Types: []string{"*"}}, true},
		"no type":                            {bi, &filter{}, true},
		"another type":                       {bi, &filter{Types: []string{"order.paid"}}, false},
		"one of two":                         {bi, &filter{Types: []string{"household-moved", "order.paid"}}, false},
		"a built-in type":                    {bi, &filter{Types: []string{"user.registered"}}, false},
		"another type about itself":          {bi, &filter{Types: []string{"user.machine.created"}, UserIds: []string{bi}}, true},
		"another type about others":          {bi, &filter{Types: []string{"user.registered"}, UserIds: []string{bi, person}}, false},
		"another type of its own doing":      {bi, &filter{Types: []string{"order.paid"}, Actors: []string{"user:" + bi}}, true},
		"its type there":                     {bi, &filter{Types: []string{"household-moved"}, OrganizationIds: []string{other, mine}}, true},
		"its type elsewhere":                 {bi, &filter{Types: []string{"household-moved"}, OrganizationIds: []string{other}}, false},
		"what it may only publish":           {till, &filter{Types: []string{"OrderCreated"}}, false},
		"a program that may nothing":         {i.Machine(mine), &filter{Types: []string{"OrderCreated"}}, false},
		"an auditor":                         {auditor, &filter{Types: []string{"OrderCreated"}}, true},
		"a person, of whom there are some":   {person, &filter{Types: []string{"user.profile.changed"}}, true},
		"the owner":                          {i.Owner, &filter{Types: []string{"OrderCreated"}}, true},
		"nothing of the kind, but no type":   {till, &filter{OrganizationIds: []string{other}}, true},
		"a kind of stream, and not its type": {bi, &filter{Streams: []string{"user:*"}}, true},
	} {
		_, err := i.API.Event.ListEvents(i.As(c.who), &munimentv1.ListEventsRequest{Filter: c.f})
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			continue
		}
		instancetest.Want(t, err, fault.Denied, "")
		refused++
		if watching, err := i.API.Event.WatchEvents(i.As(c.who), &munimentv1.WatchEventsRequest{Filter: c.f}); err == nil {
			if watching.Receive() {
				t.Errorf("%s: it may be watched", name)
			}
			instancetest.Want(t, watching.Err(), fault.Denied, "")
			watching.Close()
		}
		if file, err := i.API.Event.ExportEvents(i.As(c.who), &munimentv1.ExportEventsRequest{Filter: c.f}); err == nil {
			if file.Receive() {
				t.Errorf("%s: it may be exported", name)
			}
			instancetest.Want(t, file.Err(), fault.Denied, "")
			file.Close()
		}
	}
	recorded := list(i.AsOwner(), i, &filter{Types: []string{"access.refused"}, UserIds: []string{bi, till}}, false, 100)
	if len(recorded) < refused || !strings.Contains(fmt.Sprint(seen(recorded)), "read order.paid events") {
		t.Errorf("%d refusals, recorded are %q", refused, seen(recorded))
	}
	got := list(i.As(person), i, &filter{Types: []string{"user.profile.changed"}}, false, 100)
	if len(got) != 1 || !strings.Contains(fmt.Sprint(seen(got)), "Adele") {
		t.Errorf("a person sees of themself %q", seen(got))
	}
}

// What an event was before, the end of a stream, and what a type is, are shown
// as far as the events are that say so.
func TestPermittedInPart(t *testing.T) {
	i, mine, person, _ := world(t)
	types(i)
	bi := i.Machine(mine)
	permit(i, bi, read, "user.profile.changed", mine)
	permit(i, bi, unseal, "*", "")
	changed := list(i.As(bi), i, &munimentv1.EventFilter{Types: []string{"user.profile.changed"}}, false, 10)
	if len(changed) != 1 {
		t.Fatalf("%d events", len(changed))
	}
	e := instancetest.Must(i.API.Event.GetEvent(i.As(bi), &munimentv1.GetEventRequest{Position: changed[0].GetPosition()}))
	before := 0
	for _, f := range e.GetFields() {
		if f.GetBefore() != nil {
			if before++; !f.GetBefore().GetWithheld() {
				t.Errorf("%s was %v, says an event that may not be read", f.GetPath(), f.GetBefore())
			}
		}
		if f.GetPath() == "/given_name" && f.GetAfter().GetValue().GetStringValue() != "Adele" {
			t.Errorf("what may be unsealed is %v", f.GetAfter())
		}
	}
	if before == 0 {
		t.Error("nothing was before")
	}
	registered := list(i.AsOwner(), i, &munimentv1.EventFilter{Types: []string{"user.registered"}, UserIds: []string{person}}, false, 10)[0]
	for _, req := range []*munimentv1.GetEventRequest{{Position: registered.GetPosition()}, {EventId: registered.GetEventId()}} {
		_, err := i.API.Event.GetEvent(i.As(bi), req)
		instancetest.Want(t, err, fault.NotFound, "")
	}
	_, err := i.API.Event.GetReceipt(i.As(bi), &munimentv1.GetReceiptRequest{Position: registered.GetPosition()})
	instancetest.Want(t, err, fault.NotFound, "")

	permit(i, bi, read, "user.registered", mine)
	for _, s := range instancetest.Must(i.API.Event.ListStreams(i.As(bi), &munimentv1.ListStreamsRequest{Filter: &munimentv1.StreamFilter{Kind: "user"}})).GetStreams() {
		if s.GetLastType() != "user.registered" && s.GetLastType() != "user.profile.changed" && s.GetId() != bi {
			t.Errorf("a stream ends with %s", s.GetLastType())
		}
	}
	described := func(who string) (out []string) {
		for _, typ := range instancetest.Must(i.API.Event.ListEventTypes(i.As(who), &munimentv1.ListEventTypesRequest{})).GetTypes() {
			if slices.Contains(customers, typ.GetName()) {
				out = append(out, typ.GetName())
			}
		}
		return out
	}
	till := i.Machine(mine)
	permit(i, till, publish, "OrderCreated", mine)
	for who, want := range map[string]int{i.Owner: 4, i.Member(mine, munimentv1.MemberRole_MEMBER_ROLE_VIEWER): 4, till: 1, person: 0} {
		if got := described(who); len(got) != want {
			t.Errorf("described are %v, want %d", got, want)
		}
	}
}

// Whoever reads by permission leaves a trace, as members do.
func TestPermittedReadingIsRecorded(t *testing.T) {
	i, mine, _, _ := world(t)
	types(i)
	bi := i.Machine(mine)
	permit(i, bi, read, "household-*", mine)
	list(i.As(bi), i, &munimentv1.EventFilter{Types: []string{"household-*"}}, false, 10)
	got := list(i.AsOwner(), i, &munimentv1.EventFilter{Types: []string{"audit.read"}, Actors: []string{"user:" + bi}}, false, 10)
	if len(got) != 1 || got[0].GetOrganizationId() != mine {
		t.Errorf("recorded is %v", got)
	}
}

// A permission that is withdrawn while its holder publishes, lists and watches
// gives nothing any more behind the withdrawal: no event is recorded there, and
// none that is recorded there is shown.
func TestWithdrawnWhile(t *testing.T) {
	i, mine, _, _ := world(t)
	types(i)
	for round := range 3 {
		till, bi := i.Machine(mine), i.Machine(mine)
		asTill := event.Actor{Kind: "user", ID: event.MustID(till)}
		mayPublish := permit(i, till, publish, "order.paid", mine)
		mayRead := permit(i, bi, read, "order.paid", mine)
		f := &munimentv1.EventFilter{Types: []string{"order.paid"}, AfterPosition: instancetest.Must(i.API.Instance.GetInstance(i.AsOwner(), &munimentv1.GetInstanceRequest{})).GetInstance().GetPosition()}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var last uint64 // that was shown
		show := func(e *munimentv1.Event) {
			mu.Lock()
			defer mu.Unlock()
			last = max(last, e.GetPosition())
		}
		for range 2 {
			wg.Go(func() { // until it is refused
				for occurs(t.Context(), i, asTill, happen{"order.paid", mine}) == nil {
				}
			})
		}
		wg.Go(func() {
			for {
				got, err := i.API.Event.ListEvents(i.As(bi), &munimentv1.ListEventsRequest{Filter: f, Descending: true, PageSize: 1})
				if err != nil {
					return
				}
				for _, e := range got.GetEvents() {
					show(e)
				}
			}
		})
		wg.Go(func() {
			stream, err := i.API.Event.WatchEvents(i.As(bi), &munimentv1.WatchEventsRequest{Filter: f})
			if err != nil {
				return
			}
			defer stream.Close()
			for stream.Receive() {
				if e := stream.Msg().GetEvent(); e != nil {
					show(e)
				}
			}
			instancetest.Want(t, stream.Err(), fault.Denied, "")
		})
		var noReading, noPublishing uint64
		for published := 0; published < 5; {
			published = len(list(i.AsOwner(), i, f, false, 1000))
		}
		noReading = withdraw(i, mayRead)
		noPublishing = withdraw(i, mayPublish)
		wg.Wait()
		if last > noReading {
			t.Errorf("round %d: an event at %d is shown behind the withdrawal at %d", round, last, noReading)
		}
		f.AfterPosition = noPublishing
		if got := list(i.AsOwner(), i, f, false, 10); len(got) > 0 {
			t.Errorf("round %d: an event is published behind the withdrawal", round)
		}
	}
}
