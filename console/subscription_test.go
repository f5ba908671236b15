package console

import (
	"slices"
	"strings"
	"testing"
)

// Each form about a subscription makes the call that it says, once; a secret is
// shown once; what is wrong is said beside its field.
func TestSubscriptions(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "ada")
	billing, stopped := "/console/subscriptions/"+billingID, "/console/subscriptions/"+stoppedID
	for _, c := range []struct {
		open, post string
		form       []string
		call, says string
	}{
		{"/console/subscriptions/new", "", []string{"name", "Hooks", "delivery", "webhook", "endpoint_url", "https://a.example", "types", "user.*\r\norder.paid", "max_attempts", "7", "begin", "now"},
			"CreateSubscription Hooks  https://a.example user.*,order.paid 7 false false", "whsec_C2FVsBQIhrscChlQIMVkb5sSYspob7oD"},
		{"/console/subscriptions/new", "", []string{"name", "Pull", "delivery", "pull", "scope", acmeID, "begin", "all", "unsealed", "1"}, "CreateSubscription Pull " + acmeID + "   0 true true", "Events can be fetched."},
		{billing + "/edit", "", []string{"name", "Billing", "endpoint_url", "https://b.example", "types", "user.*", "max_in_flight", "9", "max_attempts", "3", "verify", "1"}, "ChangeSubscription " + billingID + " Billing https://b.example user.* 3 true", "Changed."},
		{billing + "/pause", "", []string{"reason", "moving"}, "PauseSubscription " + billingID + " moving", "Paused."},
		{stopped + "/resume", "", nil, "ResumeSubscription " + stoppedID + " ", "It goes on."},
		{billing + "/rewind", "", []string{"after", "7"}, "RewindSubscription " + billingID + " 7", "It goes on behind position 7."},
		{billing + "/secret", "", nil, "CreateSigningSecret " + billingID, "whsec_fresh"},
		{billing, billing + "/unsecret", []string{"secret", oldSecret}, "RemoveSigningSecret " + billingID + " " + oldSecret, "not signed with it any more"},
		{billing, billing + "/redrive", []string{"position", "12"}, "RedriveDeadLetters " + billingID + " [12] false", "It is delivered anew."},
		{billing, billing + "/discard", []string{"position", "13"}, "DiscardDeadLetters " + billingID + " [13] false", "It is given up."},
		{billing + "/redrive-all", "", nil, "RedriveDeadLetters " + billingID + " [] true", "They are delivered anew."},
		{billing + "/discard-all", "", nil, "DiscardDeadLetters " + billingID + " [] true", "They are given up."},
		{billing + "/remove", "", []string{"typed", "billing"}, "RemoveSubscription " + billingID + " ", "Removed."},
	} {
		post := c.post
		if post == "" {
			post = c.open
		}
		before := len(b.calls)
		v.get(c.open).want(200).send(post, c.form...).want(200, c.says)
		if got := b.calls[before:]; !slices.Equal(got, []string{c.call}) {
			t.Errorf("POST %s: %q, want %q", post, got, c.call)
		}
	}
	before := len(b.calls)
	v.get("/console/subscriptions/new").send("/console/subscriptions/new", "name", "x", "delivery", "webhook", "endpoint_url", "http://a.example").want(422, `id="endpoint_url-error"`, "Must begin with https://", `value="http://a.example"`)
	v.get(billing+"/edit").send(billing+"/edit", "name", "x", "max_in_flight", "many", "max_attempts", "x").want(422, `id="max_attempts-error"`)
	v.get(billing+"/rewind").send(billing+"/rewind", "after", "yesterday").want(422, "Say behind which position")
	v.get(billing+"/remove").send(billing+"/remove", "typed", "x").want(422, "Nothing was done.")
	if len(b.calls) != before {
		t.Errorf("calls: %q", b.calls[before:])
	}
	v.get(billing).want(200, "5 records", "20 attempts, the last answered with 500", "billing.example")
	v.get(stopped).want(200, "its owner may not read all of these events any more", "Grace Hopper")
}

// Who may not change a subscription is offered nothing to do so.
func TestSubscriptionCourtesy(t *testing.T) {
	b := newBackend(t)
	v := as(t, serve(t, b), "grace").get("/console/subscriptions/" + billingID).want(200)
	for _, offered := range []string{"/edit", "/pause", "/redrive", "/remove"} {
		if strings.Contains(v.body, billingID+offered) {
			t.Errorf("an auditor is offered %s", offered)
		}
	}
}
