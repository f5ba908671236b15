package console

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// hookQuestion is what is asked before an action on a subscription.
func hookQuestion(action string, s *munimentv1.Subscription) (q question, ok bool) {
	q = question{Back: path("console", "subscriptions", s.GetId()), Nav: hooksNav, Reason: true}
	switch action {
	case "pause":
		q.Heading, q.Button = "Pause "+s.GetName()+"?", "Pause"
		q.Points = []string{"Nothing is delivered until it is resumed.", "What happens meanwhile is delivered then."}
	case "resume":
		q.Heading, q.Button = "Resume "+s.GetName()+"?", "Resume"
		q.Points = []string{"It goes on where it ended; nothing was lost.", "Events are read with your rights from then on."}
	case "secret":
		q.Heading, q.Button = "Make another signing secret?", "Make it"
		q.Points = []string{"Deliveries are signed with the new one, too. Those before it go on to sign.", "Tell the receiver, then remove the old one."}
	case "remove":
		q.Heading, q.Button, q.Danger = "Remove "+s.GetName()+"?", "Remove", true
		q.Points = []string{"Nothing is delivered any more, and how far it was is forgotten.", "What is in the log stays."}
		q.Type, q.Typed = s.GetName(), "the subscription's name"
	case "redrive-all":
		q.Heading, q.Button = "Deliver all dead letters anew?", "Redrive all"
		q.Points = []string{"Each gets all its attempts again.", "What waits behind them follows."}
	case "discard-all":
		q.Heading, q.Button, q.Danger = "Give up all dead letters?", "Discard all", true
		q.Points = []string{"They are not delivered. What waits behind them is, without them.", "They stay in the log."}
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askSubscription() error {
	s, err := v.getSubscription()
	if err != nil {
		return err
	}
	switch action := v.r.PathValue("a"); action {
	case "edit":
		f := hookForm{ID: s.GetId(), Name: s.GetName(), URL: s.GetEndpointUrl(), Types: strings.Join(s.GetFilter().GetTypes(), "\n"), Delivery: "pull", Scope: s.GetScope().GetOrganizationId(),
			MaxInFlight: strconv.Itoa(int(s.GetMaxInFlight())), MaxAttempts: strconv.Itoa(int(s.GetMaxAttempts())), Unsealed: s.GetUnsealed(), Verify: s.GetVerify()}
		if s.GetDelivery() == byWebhook {
			f.Delivery = "webhook"
		}
		return v.hookForm(http.StatusOK, f)
	case "rewind":
		return v.showRewind(http.StatusOK, rewindForm{ID: s.GetId(), Name: s.GetName()})
	default:
		q, ok := hookQuestion(action, s)
		if !ok {
			return v.nothing()
		}
		return v.ask(q)
	}
}

// rewindForm is the data of subscriptionrewind.html.
type rewindForm struct{ ID, Name, After, Command, Problem string }

func (v *visit) showRewind(status int, f rewindForm) error {
	return v.showAs(status, "subscriptionrewind", page.View{Nav: hooksNav, Title: "Go on elsewhere", Data: f})
}

func (v *visit) actSubscription() error {
	s, err := v.getSubscription()
	if err != nil {
		return err
	}
	at, action := path("console", "subscriptions", s.GetId()), v.r.PathValue("a")
	switch action {
	case "edit":
		return v.editSubscription(s, at)
	case "rewind":
		return v.rewindSubscription(s, at)
	case "redrive", "discard":
		return v.settleLetter(s.GetId(), at, action)
	case "unsecret":
		_, err := v.c.API.Subscription.RemoveSigningSecret(v.ctx, &munimentv1.RemoveSigningSecretRequest{SubscriptionId: s.GetId(), SecretId: v.form("secret"), CommandId: v.command()})
		return v.said(at, "Deliveries are not signed with it any more.", err)
	}
	q, ok := hookQuestion(action, s)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	return v.doHook(s, at, action)
}

// said tells what was done, or why it was not.
func (v *visit) said(at, text string, err error) error {
	if err != nil {
		return v.refused(at, err)
	}
	return v.done(at, text)
}

// doHook does what was asked about.
func (v *visit) doHook(s *munimentv1.Subscription, at, action string) error {
	api, id, command, reason := v.c.API.Subscription, s.GetId(), v.command(), v.form("reason")
	switch action {
	case "pause":
		_, err := api.PauseSubscription(v.ctx, &munimentv1.PauseSubscriptionRequest{SubscriptionId: id, CommandId: command, Reason: reason})
		return v.said(at, "Paused.", err)
	case "resume":
		_, err := api.ResumeSubscription(v.ctx, &munimentv1.ResumeSubscriptionRequest{SubscriptionId: id, CommandId: command, Reason: reason})
		return v.said(at, "It goes on.", err)
	case "remove":
		_, err := api.RemoveSubscription(v.ctx, &munimentv1.RemoveSubscriptionRequest{SubscriptionId: id, CommandId: command, Reason: reason})
		if err != nil {
			return v.refused(at, err)
		}
		return v.done("/console/subscriptions", "Removed.")
	case "redrive-all":
		_, err := api.RedriveDeadLetters(v.ctx, &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, EveryOne: true, CommandId: command, Reason: reason})
		return v.said(at, "They are delivered anew.", err)
	case "discard-all":
		_, err := api.DiscardDeadLetters(v.ctx, &munimentv1.DiscardDeadLettersRequest{SubscriptionId: id, EveryOne: true, CommandId: command, Reason: reason})
		return v.said(at, "They are given up.", err)
	}
	got, err := api.CreateSigningSecret(v.ctx, &munimentv1.CreateSigningSecretRequest{SubscriptionId: id, CommandId: command, Reason: reason})
	if err != nil {
		return v.refused(at, err)
	}
	return v.hookSecret(at, "Another signing secret", got.GetSigningSecret())
}

func (v *visit) editSubscription(s *munimentv1.Subscription, at string) error {
	f := v.typedHook()
	f.ID, f.Scope, f.Delivery = s.GetId(), s.GetScope().GetOrganizationId(), "pull"
	filter := proto.CloneOf(s.GetFilter())
	if filter == nil {
		filter = &munimentv1.SubscribedEvents{}
	}
	filter.Types = lines(f.Types)
	req := &munimentv1.ChangeSubscriptionRequest{SubscriptionId: s.GetId(), Name: &f.Name, Filter: filter, MaxInFlight: proto.Int32(number(f.MaxInFlight)), MaxAttempts: proto.Int32(number(f.MaxAttempts)),
		Unsealed: &f.Unsealed, Verify: &f.Verify, CommandId: f.Command}
	if s.GetDelivery() == byWebhook {
		f.Delivery, req.EndpointUrl = "webhook", &f.URL
	}
	if _, err := v.c.API.Subscription.ChangeSubscription(v.ctx, req); err != nil {
		return v.hookFailed(f, err)
	}
	return v.done(at, "Changed.")
}

func (v *visit) rewindSubscription(s *munimentv1.Subscription, at string) error {
	f := rewindForm{ID: s.GetId(), Name: s.GetName(), After: v.form("after"), Command: v.command()}
	after, err := strconv.ParseUint(f.After, 10, 63)
	if err != nil {
		f.Problem = "Say behind which position, as a number. 0 is the beginning of the log."
		return v.showRewind(http.StatusUnprocessableEntity, f)
	}
	_, err = v.c.API.Subscription.RewindSubscription(v.ctx, &munimentv1.RewindSubscriptionRequest{SubscriptionId: s.GetId(), AfterPosition: after, CommandId: f.Command, Reason: v.form("reason")})
	if err != nil {
		err = v.c.AsFault(err)
		if status, ok := formStatus(err); ok {
			f.Problem = page.Sentence(fault.Public(err))
			return v.showRewind(status, f)
		}
		return err
	}
	return v.done(at, "It goes on behind position "+f.After+".")
}

// settleLetter says what becomes of one dead letter.
func (v *visit) settleLetter(id, at, action string) error {
	p, _ := strconv.ParseUint(v.form("position"), 10, 63) // 0 is refused
	if action == "redrive" {
		_, err := v.c.API.Subscription.RedriveDeadLetters(v.ctx, &munimentv1.RedriveDeadLettersRequest{SubscriptionId: id, Positions: []uint64{p}, CommandId: v.command()})
		return v.said(at, "It is delivered anew.", err)
	}
	_, err := v.c.API.Subscription.DiscardDeadLetters(v.ctx, &munimentv1.DiscardDeadLettersRequest{SubscriptionId: id, Positions: []uint64{p}, CommandId: v.command()})
	return v.said(at, "It is given up.", err)
}
