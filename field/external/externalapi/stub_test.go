package externalapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/internal/instancetest"
)

// system is an external system: it takes events and offers some, as it is told.
type system struct {
	*httptest.Server
	mu      sync.Mutex
	got     []sent
	headers []http.Header
	offers  []string // CloudEvents
	asked   []string // cursors
	calls   int
	take    func(w http.ResponseWriter, events []sent) bool // false: it has answered itself
	offer   http.HandlerFunc
}

// sent is an event that came to the external system.
type sent struct {
	ID, Type, Subject, Source, Time, DataSchema, Withheld, Superseded, MunimentOrganization string
	Data                                                                                    map[string]any
}

func newSystem(t *testing.T) *system {
	x := &system{}
	x.Server = httptest.NewServer(x)
	t.Cleanup(x.Close)
	return x
}

// ServeHTTP takes events by POST, and offers others by GET.
func (x *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls++
	h := r.Header.Clone()
	h.Set("Body", string(body))
	x.headers = append(x.headers, h)
	if r.Method == http.MethodGet {
		if x.asked = append(x.asked, r.URL.Query().Get("cursor")); x.offer != nil {
			x.offer(w, r)
			return
		}
		x.page(w, r)
		return
	}
	var events []sent
	if err := json.Unmarshal(body, &events); err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	if x.take == nil || x.take(w, events) {
		x.got = append(x.got, events...)
	}
}

// page answers what stands behind a cursor, which is a number here.
func (x *system) page(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	upto := min(after+limit, len(x.offers))
	events := []json.RawMessage{}
	for _, text := range x.offers[after:upto] {
		events = append(events, json.RawMessage(text))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"events": events, "next": strconv.Itoa(upto)}) //nolint:errcheck,errchkjson // a test
}

// with changes what the system does.
func (x *system) with(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

func (x *system) taken() []sent {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.got)
}

func (x *system) called() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls
}

// site is an instance with the field pack, whose owner may publish.
type site struct {
	*instancetest.Instance
	ctx context.Context
}

func newSite(t *testing.T) *site {
	t.Helper()
	i := instancetest.New(t)
	s := &site{i, i.AsOwner()}
	s.permit(i.Owner, munimentv1.EventRight_EVENT_RIGHT_PUBLISH)
	instancetest.Must(i.API.Sync.InstallFieldPack(s.ctx, &munimentv1.InstallFieldPackRequest{}))
	return s
}

func (s *site) permit(user string, right munimentv1.EventRight) {
	instancetest.Must(s.API.Permission.GrantPermission(s.ctx, &munimentv1.GrantPermissionRequest{UserId: user, Right: right, EventTypes: "*", Scope: instancetest.In("")}))
}

func uuid() string { return schema.UUIDOf(event.NewID()) }

const (
	push = munimentv1.AdapterDirection_ADAPTER_DIRECTION_PUSH
	pull = munimentv1.AdapterDirection_ADAPTER_DIRECTION_PULL
	both = munimentv1.AdapterDirection_ADAPTER_DIRECTION_BOTH
)

// adapter sets one up for individuals, and answers its id and secret.
func (s *site) adapter(t *testing.T, url string, d munimentv1.AdapterDirection, change ...func(*munimentv1.CreateAdapterRequest)) (id, secret string) {
	t.Helper()
	req := &munimentv1.CreateAdapterRequest{Name: s.Name("adapter"), Scope: instancetest.In(""), Direction: d, EndpointUrl: url, EntityTypes: []string{"individual"}, Unsealed: true}
	for _, f := range change {
		f(req)
	}
	res, err := s.API.Adapter.CreateAdapter(s.ctx, req)
	if err != nil {
		t.Fatalf("create an adapter: %v", api.Explain(err))
	}
	return res.GetAdapterId(), res.GetSigningSecret()
}

func (s *site) get(id string) *munimentv1.Adapter {
	return instancetest.Must(s.API.Adapter.GetAdapter(s.ctx, &munimentv1.GetAdapterRequest{AdapterId: id})).GetAdapter()
}

func (s *site) failures(id string) []*munimentv1.AdapterFailure {
	return instancetest.Must(s.API.Adapter.ListAdapterFailures(s.ctx, &munimentv1.ListAdapterFailuresRequest{AdapterId: id})).GetFailures()
}

// run has an adapter run, and waits until it has. It does so twice: the first
// time it may be a run that had begun before.
func (s *site) run(t *testing.T, id string) (a *munimentv1.Adapter) {
	t.Helper()
	for range 2 {
		if a = s.get(id); a.GetState() != munimentv1.AdapterState_ADAPTER_STATE_ACTIVE {
			return a
		}
		before := a.GetProgress().GetLastRun().AsTime()
		s.API.Adapter.RunAdapter(s.ctx, &munimentv1.RunAdapterRequest{AdapterId: id}) //nolint:errcheck // it may have been stopped
		until(t, "the adapter runs", func() bool {
			a = s.get(id)
			return a.GetProgress().GetLastRun().AsTime().After(before) || a.GetState() != munimentv1.AdapterState_ADAPTER_STATE_ACTIVE
		})
	}
	return a
}

// publish publishes events of individuals, each by type, entity and data, and
// answers their ids.
func (s *site) publish(t *testing.T, events ...[3]string) (ids []string) {
	t.Helper()
	req := &munimentv1.PublishEventsRequest{}
	for _, e := range events {
		ids = append(ids, uuid())
		req.Events = append(req.Events, &munimentv1.NewEvent{Id: ids[len(ids)-1], Type: e[0], EntityId: e[1], DataJson: e[2]})
	}
	if _, err := s.API.Entity.PublishEvents(s.ctx, req); err != nil {
		t.Fatalf("publish: %v", api.Explain(err))
	}
	return ids
}

func (s *site) level(id string) (level munimentv1.DeliveryLevel, adapters []string) {
	d := instancetest.Must(s.API.Sync.GetDeliveryLevels(s.ctx, &munimentv1.GetDeliveryLevelsRequest{EventIds: []string{id}})).GetDeliveries()[0]
	return d.GetLevel(), d.GetAdapterIds()
}

const (
	local    = munimentv1.DeliveryLevel_DELIVERY_LEVEL_LOCAL
	remote   = munimentv1.DeliveryLevel_DELIVERY_LEVEL_REMOTE
	external = munimentv1.DeliveryLevel_DELIVERY_LEVEL_EXTERNAL
)

// individual is an individual's data as JSON; empty if there is none.
func (s *site) individual(id string) string {
	res, err := s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "individual", EntityId: id})
	if err != nil {
		return ""
	}
	return res.GetEntity().GetDataJson()
}

// offered is a CloudEvent of an external system.
func offered(id, typ, entity, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"https://registry.example","type":%q,"subject":"individual/%s","data":%s}`, id, typ, entity, data)
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// rewind has everything pushed again.
func (s *site) rewind(id string) {
	instancetest.Must(s.API.Adapter.RewindAdapter(s.ctx, &munimentv1.RewindAdapterRequest{AdapterId: id, AfterPosition: new(uint64)}))
}
