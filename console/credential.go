package console

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// secretPage is the data of secret.html: a secret, shown once.
type secretPage struct {
	Heading, ClientID, Secret, Issuer, Back, Nav string
	Hidden                                       bool // there is a secret, shown or not
}

func (v *visit) showSecret(p secretPage) error {
	p.Issuer = v.c.Site.Origin()
	return v.show("secret", p.Nav, p.Heading, p)
}

// credentialForm is the data of credentialform.html: a new secret or key of a
// client.
type credentialForm struct {
	What      string // "secret" or "key"
	Client    string // its name
	Nav, Back string
	Name      string
	Days      string
	PublicKey string
	Lives     []option
	Command   string

	Problem, NameError, KeyError string
}

// lives are for how many days a secret or a key works.
var lives = [...]option{{"30", "30 days"}, {"90", "90 days"}, {"365", "One year"}, {"0", "Until it is removed"}}

// expires is when what is being added stops working; nil for never.
func (f credentialForm) expires() *timestamppb.Timestamp {
	days, err := strconv.Atoi(f.Days)
	if err != nil || days <= 0 || days > 10000 {
		return nil
	}
	// In whole days, so that a form that is sent twice asks the same.
	return timestamppb.New(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days+1))
}

// typedCredential is what was typed into the form.
func (v *visit) typedCredential(f credentialForm) credentialForm {
	f.Name, f.Days, f.PublicKey, f.Command = v.form("name"), v.form("days"), v.form("key"), v.command()
	return f
}

func (v *visit) credentialForm(status int, what string, f credentialForm) error {
	f.What, f.Lives = what, lives[:]
	if f.Days == "" {
		f.Days = "365"
	}
	title := "New secret"
	if what == "key" {
		title = "Add a key"
	}
	return v.showAs(status, "credentialform", page.View{Nav: f.Nav, Title: title, Data: f})
}

// secretCreated shows a new secret, once, or the form again.
func (v *visit) secretCreated(f credentialForm, clientID, secret string, err error) error {
	if err != nil {
		return v.credentialFailed("secret", f, err)
	}
	return v.showSecret(secretPage{Heading: "A new secret of " + f.Client, ClientID: clientID, Secret: secret, Hidden: true, Back: f.Back, Nav: f.Nav})
}

func (v *visit) keyAdded(f credentialForm, err error) error {
	if err != nil {
		return v.credentialFailed("key", f, err)
	}
	return v.done(f.Back, "The key is added. What is signed with it is accepted from now on.")
}

func (v *visit) credentialFailed(what string, f credentialForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	to := &f.Problem
	switch faultField(err) {
	case "name":
		to = &f.NameError
	case "public_key":
		to = &f.KeyError
	}
	*to = page.Sentence(fault.Public(err))
	return v.credentialForm(status, what, f)
}

// removal is what is asked before a secret or key is removed: that which the
// address names.
func (v *visit) removal(secrets []*munimentv1.ClientSecret, keys []*munimentv1.ClientKey, f credentialForm) (question, error) {
	q := question{Nav: f.Nav, Back: f.Back, Reason: true, Button: "Remove", Danger: true}
	id, what := v.r.PathValue("credential"), v.r.PathValue("a")
	for _, s := range secrets {
		if what == "secrets" && s.GetId() == id {
			q.Heading = "Remove the secret " + called(s.GetName(), id) + "?"
			q.Points = []string{"Whatever still uses it is refused at once.", "Other secrets of " + f.Client + " work as before."}
			return q, nil
		}
	}
	for _, k := range keys {
		if what == "keys" && k.GetId() == id {
			q.Heading = "Remove the key " + called(k.GetName(), k.GetKid()) + "?"
			q.Points = []string{"What is signed with it is refused at once.", "Other keys of " + f.Client + " work as before."}
			return q, nil
		}
	}
	return q, v.c.AsFault(fault.New(fault.NotFound, "there is no such page"))
}

// called is a name, or the beginning of an id where there is none.
func called(name, id string) string {
	if name != "" {
		return name
	}
	return id[:min(len(id), 8)]
}

// expired reports whether a secret or key does not work any more.
func expired(t *timestamppb.Timestamp) bool { return t != nil && !t.AsTime().After(time.Now()) }
