package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// adaptersNav is the place of adapters in the navigation.
const adaptersNav = "adapters"

// adapterState is where an adapter stands. Runs that fail, and events that did
// not come over, outweigh that it is active.
func adapterState(a *munimentv1.Adapter) badge {
	p := a.GetProgress()
	switch a.GetState() {
	case munimentv1.AdapterState_ADAPTER_STATE_ACTIVE:
		switch {
		case p.GetFailedRuns() > 0:
			return badge{"Failing", page.Bad}
		case p.GetDeadLetters()+p.GetRefused() > 0:
			return badge{"Events refused", page.Warn}
		}
		return badge{"Active", page.Good}
	case munimentv1.AdapterState_ADAPTER_STATE_PAUSED:
		return badge{"Paused", page.Warn}
	case munimentv1.AdapterState_ADAPTER_STATE_STOPPED:
		return badge{"Stopped", page.Bad}
	}
	return badge{"Unknown", page.Calm}
}

// adapterDirections are the directions by what a form calls them, and in words.
var adapterDirections = map[munimentv1.AdapterDirection][2]string{
	munimentv1.AdapterDirection_ADAPTER_DIRECTION_PUSH: {"push", "Pushes"},
	munimentv1.AdapterDirection_ADAPTER_DIRECTION_PULL: {"pull", "Pulls"},
	munimentv1.AdapterDirection_ADAPTER_DIRECTION_BOTH: {"both", "Pulls and pushes"},
}

// adapterKinds are the kinds of credentials by what a form calls them, and in
// words.
var adapterKinds = map[munimentv1.AdapterCredentialKind][2]string{
	munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE: {"signature", "a signature"},
	munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BEARER:    {"bearer", "a bearer token"},
	munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_BASIC:     {"basic", "a name and password"},
}

// adapterFailure says why a run failed.
func adapterFailure(reason string, status int32) string {
	switch reason {
	case "answered":
		return "the external system answered " + strconv.Itoa(int(status))
	case "timed-out":
		return "the external system did not answer in time"
	case "unreachable":
		return "the external system cannot be reached"
	case "forbidden":
		return "the address leads into a network that must not be called"
	case "malformed":
		return "the answer is not what was agreed"
	case "too-large":
		return "the answer is too large"
	case "stuck":
		return "the cursor does not move although there is more"
	}
	return "something is wrong here; the server's log says what"
}

// adapterRow is an adapter with what its ids are called.
type adapterRow struct {
	*munimentv1.Adapter
	Of, Way, Proof string
}

func (v *visit) adapterRow(a *munimentv1.Adapter) adapterRow {
	r := adapterRow{a, "Whole instance", adapterDirections[a.GetDirection()][1], adapterKinds[a.GetCredential()][1]}
	if org := a.GetScope().GetOrganizationId(); org != "" {
		r.Of = v.orgName(org)
	}
	return r
}

// adaptersPage is the data of adapters.html.
type adaptersPage struct {
	Rows   []adapterRow
	Next   string
	Paged  bool
	CanAdd bool
	Curl   same
}

func (v *visit) adapters() error {
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Adapter.ListAdapters(v.ctx, &munimentv1.ListAdaptersRequest{PageSize: pageSize, PageToken: token, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	if err := v.travels("list", "adapters"); err != nil {
		return err
	}
	p := adaptersPage{Next: got.GetNextPageToken(), Paged: token != "", CanAdd: v.me.WritesAny(), Curl: v.same("adapter list", "/v1/adapters")}
	for _, a := range got.GetAdapters() {
		p.Rows = append(p.Rows, v.adapterRow(a))
	}
	return v.show("adapters", adaptersNav, "Adapters", p)
}

// adapterPage is the data of adapter.html.
type adapterPage struct {
	adapterRow
	Owner      *munimentv1.User
	Failures   []*munimentv1.AdapterFailure
	CanWrite   bool
	SeesEvents bool
	Events     []*munimentv1.Event
	Curl       same
}

func (v *visit) getAdapter() (*munimentv1.Adapter, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Adapter.GetAdapter(v.ctx, &munimentv1.GetAdapterRequest{AdapterId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetAdapter(), nil
}

func (v *visit) adapter() error {
	a, err := v.getAdapter()
	if err != nil {
		return err
	}
	p := adapterPage{adapterRow: v.adapterRow(a), Owner: v.userOf(a.GetOwnerId()), CanWrite: v.me.Writes(a.GetScope().GetOrganizationId()), SeesEvents: v.me.audits(),
		Curl: v.same("adapter get "+a.GetId(), "/v1/adapters/"+a.GetId())}
	if a.GetProgress().GetDeadLetters()+a.GetProgress().GetRefused() > 0 {
		got, err := v.c.API.Adapter.ListAdapterFailures(v.ctx, &munimentv1.ListAdapterFailuresRequest{AdapterId: a.GetId()})
		if err != nil {
			return v.c.AsFault(err)
		}
		p.Failures = got.GetFailures()
	}
	if p.SeesEvents {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{"adapter:" + a.GetId()}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	if err := v.travels("object", "adapter:"+a.GetId()); err != nil {
		return err
	}
	return v.show("adapter", adaptersNav, a.GetName(), p)
}

// adapterForm is the data of adapterform.html.
type adapterForm struct {
	Name, URL, Types, Direction, Scope string
	Interval, Credential, Username     string
	Unsealed                           bool
	Orgs                               []option
	Command, Problem                   string
	Wrong                              map[string]string // by field
}

func (v *visit) newAdapter() error {
	return v.adapterForm(http.StatusOK, adapterForm{Direction: "push", Credential: "signature", Interval: "300"})
}

func (v *visit) adapterForm(status int, f adapterForm) error {
	var err error
	if f.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	f.Orgs = slices.DeleteFunc(f.Orgs, func(o option) bool { return !v.me.Writes(o.Value) })
	return v.showAs(status, "adapterform", page.View{Nav: adaptersNav, Title: "Set up an adapter", Data: f})
}

// adapterFields are those of which the form says what is wrong beside them.
var adapterFields = []string{"name", "endpoint_url", "entity_types", "interval_seconds"}

// createAdapter sets an adapter up. Secrets that were typed are never shown
// again, also not in a form that is to be mended.
func (v *visit) createAdapter() error {
	f := adapterForm{Name: v.form("name"), URL: v.form("endpoint_url"), Types: v.form("entity_types"), Direction: v.form("direction"), Scope: v.form("scope"), Interval: v.form("interval_seconds"),
		Credential: v.form("credential"), Username: v.form("username"), Unsealed: v.form("unsealed") != "", Command: v.command()}
	req := &munimentv1.CreateAdapterRequest{Name: f.Name, Scope: scopeOf(f.Scope), EndpointUrl: f.URL, EntityTypes: lines(f.Types), IntervalSeconds: number(f.Interval), Unsealed: f.Unsealed, CommandId: f.Command}
	for d, words := range adapterDirections {
		if words[0] == f.Direction {
			req.Direction = d
		}
	}
	for k, words := range adapterKinds {
		if words[0] == f.Credential {
			req.Credential = k
		}
	}
	switch f.Credential {
	case "bearer":
		req.BearerToken = strings.TrimSpace(v.form("secret"))
	case "basic":
		req.Username, req.Password = f.Username, v.form("secret")
	}
	got, err := v.c.API.Adapter.CreateAdapter(v.ctx, req)
	if err != nil {
		return v.adapterFailed(f, err)
	}
	at := path("console", "adapters", got.GetAdapterId())
	if req.Credential != munimentv1.AdapterCredentialKind_ADAPTER_CREDENTIAL_KIND_SIGNATURE {
		return v.done(at, "It is set up, and runs.")
	}
	return v.show("adaptersecret", adaptersNav, f.Name+" is set up", hookSecretPage{f.Name + " is set up", at, got.GetSigningSecret()})
}

func (v *visit) adapterFailed(f adapterForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	text := page.Sentence(fault.Public(err))
	if field := faultField(err); slices.Contains(adapterFields, field) {
		f.Wrong = map[string]string{field: text}
	} else {
		f.Problem = text
	}
	return v.adapterForm(status, f)
}
