package console

import (
	"net/http"
	"slices"
	"strconv"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// hooksNav is the place of subscriptions in the navigation.
const hooksNav = "subscriptions"

const (
	byWebhook = munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_WEBHOOK
	byPull    = munimentv1.SubscriptionDelivery_SUBSCRIPTION_DELIVERY_PULL
)

// hookState is where a subscription stands. Dead letters outweigh that it is
// active.
func hookState(s *munimentv1.Subscription) badge {
	switch s.GetState() {
	case munimentv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE:
		if s.GetProgress().GetDeadLetters() > 0 {
			return badge{"Dead letters", page.Bad}
		}
		return badge{"Active", page.Good}
	case munimentv1.SubscriptionState_SUBSCRIPTION_STATE_PAUSED:
		return badge{"Paused", page.Warn}
	case munimentv1.SubscriptionState_SUBSCRIPTION_STATE_STOPPED:
		return badge{"Stopped", page.Bad}
	}
	return badge{"Unknown", page.Calm}
}

// hooksPage is the data of subscriptions.html.
type hooksPage struct {
	Rows   []hookRow
	Next   string
	Paged  bool
	CanAdd bool
	Curl   same
}

// hookRow is a subscription with what its ids are called.
type hookRow struct {
	*munimentv1.Subscription
	Of      string // "Whole instance", or the organization's name
	Webhook bool
}

func (v *visit) hookRow(s *munimentv1.Subscription) hookRow {
	r := hookRow{s, "Whole instance", s.GetDelivery() == byWebhook}
	if org := s.GetScope().GetOrganizationId(); org != "" {
		r.Of = v.orgName(org)
	}
	return r
}

func (v *visit) subscriptions() error {
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Subscription.ListSubscriptions(v.ctx, &munimentv1.ListSubscriptionsRequest{PageSize: pageSize, PageToken: token, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	if err := v.travels("list", "subscriptions"); err != nil {
		return err
	}
	p := hooksPage{Next: got.GetNextPageToken(), Paged: token != "", CanAdd: v.me.WritesAny(), Curl: v.same("subscription list", "/v1/subscriptions")}
	for _, s := range got.GetSubscriptions() {
		p.Rows = append(p.Rows, v.hookRow(s))
	}
	return v.show("subscriptions", hooksNav, "Subscriptions", p)
}

// hookForm is the data of subscriptionform.html.
type hookForm struct {
	ID               string // empty: a new one
	Name, URL, Types string
	Delivery, Scope  string
	MaxInFlight      string
	MaxAttempts      string
	Unsealed, Verify bool
	Beginning        bool
	Orgs             []option
	Command, Problem string
	Wrong            map[string]string // by field
}

func (v *visit) newSubscription() error {
	return v.hookForm(http.StatusOK, hookForm{Delivery: "webhook"})
}

func (v *visit) hookForm(status int, f hookForm) error {
	var err error
	if f.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	f.Orgs = slices.DeleteFunc(f.Orgs, func(o option) bool { return !v.me.Writes(o.Value) })
	title := "Subscribe to events"
	if f.ID != "" {
		title = "Change " + f.Name
	}
	return v.showAs(status, "subscriptionform", page.View{Nav: hooksNav, Title: title, Data: f})
}

// typedHook is what was typed into the form.
func (v *visit) typedHook() hookForm {
	return hookForm{Name: v.form("name"), URL: v.form("endpoint_url"), Types: v.form("types"), Delivery: v.form("delivery"), Scope: v.form("scope"),
		MaxInFlight: v.form("max_in_flight"), MaxAttempts: v.form("max_attempts"), Unsealed: v.form("unsealed") != "", Verify: v.form("verify") != "", Beginning: v.form("begin") == "all", Command: v.command()}
}

// hookFields are those of which the form says what is wrong beside them.
var hookFields = []string{"name", "endpoint_url", "filter.types", "max_in_flight", "max_attempts"}

func (v *visit) hookFailed(f hookForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	field := faultField(err)
	if len(field) > 12 && field[:12] == "filter.types" { // of one of them
		field = "filter.types"
	}
	text := page.Sentence(fault.Public(err))
	if slices.Contains(hookFields, field) {
		f.Wrong = map[string]string{field: text}
	} else {
		f.Problem = text
	}
	return v.hookForm(status, f)
}

// number reads a number that may be left out; what is none is one that the API
// refuses.
func number(s string) int32 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n == 0 {
		return -1
	}
	return int32(n)
}

func (v *visit) createSubscription() error {
	f := v.typedHook()
	req := &munimentv1.CreateSubscriptionRequest{Name: f.Name, Scope: scopeOf(f.Scope), Delivery: byPull, MaxInFlight: number(f.MaxInFlight), MaxAttempts: number(f.MaxAttempts),
		Filter: &munimentv1.SubscribedEvents{Types: lines(f.Types)}, Unsealed: f.Unsealed, Verify: f.Verify, CommandId: f.Command}
	if f.Delivery == "webhook" {
		req.Delivery, req.EndpointUrl = byWebhook, f.URL
	}
	if f.Beginning {
		req.AfterPosition = new(uint64)
	}
	got, err := v.c.API.Subscription.CreateSubscription(v.ctx, req)
	if err != nil {
		return v.hookFailed(f, err)
	}
	at := path("console", "subscriptions", got.GetSubscriptionId())
	if req.Delivery == byPull {
		return v.done(at, "Subscribed. Events can be fetched.")
	}
	return v.hookSecret(at, f.Name+" is subscribed", got.GetSigningSecret())
}

// hookSecretPage is the data of subscriptionsecret.html.
type hookSecretPage struct{ Heading, At, Secret string }

func (v *visit) hookSecret(at, heading, secret string) error {
	return v.show("subscriptionsecret", hooksNav, heading, hookSecretPage{heading, at, secret})
}

// hookPage is the data of subscription.html.
type hookPage struct {
	hookRow
	Owner      *munimentv1.User
	Dead       []*munimentv1.DeadLetter
	CanWrite   bool
	Past       bool
	SeesEvents bool
	Events     []*munimentv1.Event
	Curl       same
}

func (v *visit) getSubscription() (*munimentv1.Subscription, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Subscription.GetSubscription(v.ctx, &munimentv1.GetSubscriptionRequest{SubscriptionId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetSubscription(), nil
}

func (v *visit) subscription() error {
	s, err := v.getSubscription()
	if err != nil {
		return err
	}
	p := hookPage{hookRow: v.hookRow(s), Owner: v.userOf(s.GetOwnerId()), CanWrite: v.me.Writes(s.GetScope().GetOrganizationId()), Past: s.GetProgress() == nil, SeesEvents: v.me.audits(),
		Curl: v.same("subscription get "+s.GetId(), "/v1/subscriptions/"+s.GetId())}
	if s.GetProgress().GetDeadLetters() > 0 {
		dead, err := v.c.API.Subscription.ListDeadLetters(v.ctx, &munimentv1.ListDeadLettersRequest{SubscriptionId: s.GetId()})
		if err != nil {
			return v.c.AsFault(err)
		}
		p.Dead = dead.GetDeadLetters()
	}
	if p.SeesEvents {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{"subscription:" + s.GetId()}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	if err := v.travels("object", "subscription:"+s.GetId()); err != nil {
		return err
	}
	return v.show("subscription", hooksNav, s.GetName(), p)
}
