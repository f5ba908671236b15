package console

import (
	"net/http"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/page"
)

// keysPage is the data of keys.html.
type keysPage struct {
	Keys []*munimentv1.SigningKey
	Can  bool
	Curl same

	Every, Announce, Remain string // the schedule, in words
}

// signingKeys are the keys that sign tokens, did, or will.
func (v *visit) signingKeys() error {
	got, err := v.c.API.Instance.ListSigningKeys(v.ctx, &munimentv1.ListSigningKeysRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	sch, err := v.c.API.Instance.GetSigningKeySchedule(v.ctx, &munimentv1.GetSigningKeyScheduleRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	return v.show("keys", "instance", "Signing keys", keysPage{Keys: got.GetKeys(), Can: v.me.Writes(""), Curl: v.same("instance list-signing-keys", "/v1/signing-keys"),
		Every: seconds(sch.GetEverySeconds()), Announce: seconds(sch.GetAnnounceSeconds()), Remain: seconds(sch.GetRemainSeconds())})
}

func keyStatus(s munimentv1.SigningKeyStatus) badge {
	switch s {
	case munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_NEXT:
		return badge{"Signs next", page.Calm}
	case munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_CURRENT:
		return badge{"Signs", page.Good}
	case munimentv1.SigningKeyStatus_SIGNING_KEY_STATUS_RETIRED:
		return badge{"Verifies only", page.Calm}
	}
	return badge{"Unknown", page.Calm}
}

func keyQuestion(action string) (q question, ok bool) {
	q = question{Nav: "instance", Back: "/console/instance/keys", Reason: true}
	switch action {
	case "rotate":
		q.Heading, q.Button = "Let other keys sign from now on?", "Rotate the keys"
		q.Points = []string{"Tokens that the present keys signed stay good until they expire.",
			"Applications that check tokens by themselves find the new keys in the key set, which they read again when they meet a key that they do not know.",
			"It happens by itself, by the schedule; do it now if you want to."}
	case "distrust":
		q.Heading, q.Button, q.Danger = "Distrust the present keys?", "Rotate and distrust", true
		q.Points = []string{"For when somebody else may have them. Other keys sign from now on.",
			"All tokens that were signed before are refused at once where the server is asked. Applications get others with their refresh tokens, or people sign in again.",
			"Applications that check tokens by themselves may keep the old key set for five minutes, or as long as they like."}
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askKeys() error {
	q, ok := keyQuestion(v.r.PathValue("a"))
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) rotateKeys() error {
	action := v.r.PathValue("a")
	q, ok := keyQuestion(action)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	if _, err := v.c.API.Instance.RotateSigningKeys(v.ctx, &munimentv1.RotateSigningKeysRequest{Distrust: action == "distrust", CommandId: v.command(), Reason: v.form("reason")}); err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, "Other keys sign from now on.")
}

func seconds(n int64) string { return span(time.Duration(n) * time.Second) }

// scheduleFields are the numbers of the schedule, as policies' are asked for.
func scheduleFields() []policyField {
	return []policyField{
		{Name: "every_seconds", Label: "A key signs for", Unit: days, Hint: "1 to 730 days."},
		{Name: "announce_seconds", Label: "It is published before, for", Unit: days, Hint: "An hour (0.05) to 90 days, and less than it signs. Applications keep the key set for a while."},
		{Name: "remain_seconds", Label: "It is published afterwards, for", Unit: days, Hint: "From 25 hours (1.05), which is longer than any token lives, to 365 days, and at most ten times as long as it signs."},
	}
}

// scheduleForm is the policies' form, of the schedule.
func scheduleForm() policyForm {
	return policyForm{policyKind: policyKind{Heading: "Schedule of signing keys", Lede: "When a key is published, signs, and is gone. Steps that are due are taken within ten minutes."},
		Where: "the whole instance", Back: "/console/instance/keys", BackWord: "Signing keys", Nav: "instance"}
}

func (v *visit) editSchedule() error {
	got, err := v.c.API.Instance.GetSigningKeySchedule(v.ctx, &munimentv1.GetSigningKeyScheduleRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	f := scheduleForm()
	now := []int64{got.GetEverySeconds(), got.GetAnnounceSeconds(), got.GetRemainSeconds()}
	for i, field := range scheduleFields() {
		f.Inputs = append(f.Inputs, policyInput{policyField: field, Value: field.amount(now[i])})
	}
	return v.policyForm(http.StatusOK, f)
}

func (v *visit) changeSchedule() error {
	f := scheduleForm()
	f.Command = v.command()
	c, ok := v.typedPolicy(&f, scheduleFields())
	if !ok {
		return v.policyForm(http.StatusUnprocessableEntity, f)
	}
	if _, err := v.c.API.Instance.ChangeSigningKeySchedule(v.ctx, &munimentv1.ChangeSigningKeyScheduleRequest{EverySeconds: c.values["every_seconds"],
		AnnounceSeconds: c.values["announce_seconds"], RemainSeconds: c.values["remain_seconds"], Acknowledge: c.acknowledge, CommandId: c.command, Reason: c.reason}); err != nil {
		return v.policyFailed(f, c, err)
	}
	return v.done(f.Back, "The schedule is changed.")
}
