package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/page"
)

// keysPage is the data of keys.html.
type keysPage struct {
	Keys []*munimentv1.SigningKey
	Can  bool
	Curl same
}

// signingKeys are the keys that sign tokens, did, or will.
func (v *visit) signingKeys() error {
	got, err := v.c.API.Instance.ListSigningKeys(v.ctx, &munimentv1.ListSigningKeysRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	return v.show("keys", "instance", "Signing keys", keysPage{Keys: got.GetKeys(), Can: v.me.Writes(""), Curl: v.same("instance list-signing-keys", "/v1/signing-keys")})
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
			"It happens by itself every 90 days; do it now if you want to."}
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
