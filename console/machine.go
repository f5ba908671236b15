package console

import (
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

const machineKind = munimentv1.UserKind_USER_KIND_MACHINE

// machineForm is the data of machineform.html.
type machineForm struct {
	Heading, Lede, Button string
	ID                    string // empty for a new one
	Name, Description     string
	Org                   string
	Orgs                  []option
	Back, Command         string
	Problem, NameError    string
	DescriptionError      string
}

func (v *visit) newMachineForm() (machineForm, error) {
	f := machineForm{Back: "/console/people?kind=machine", Heading: "Add a machine user", Button: "Add",
		Lede: "The account of a program. It gets tokens with a secret or a key of its own, can administer and have roles as people can, and cannot sign in."}
	var err error
	f.Orgs, err = v.orgOptions()
	return f, err
}

func (v *visit) machineForm(status int, f machineForm) error {
	return v.showAs(status, "machineform", page.View{Nav: "people", Title: f.Heading, Data: f})
}

func (v *visit) newMachine() error {
	f, err := v.newMachineForm()
	if err != nil {
		return err
	}
	if len(f.Orgs) == 0 {
		v.c.Site.Say(v.w, v.r, page.Note{Text: "Machine users belong to an organization. Add one first."})
		http.Redirect(v.w, v.r, "/console/organizations/new", http.StatusSeeOther)
		return nil
	}
	f.Org = v.r.URL.Query().Get("org")
	return v.machineForm(http.StatusOK, f)
}

func (v *visit) createMachine() error {
	f, err := v.newMachineForm()
	if err != nil {
		return err
	}
	f.Name, f.Description, f.Org, f.Command = v.form("name"), v.form("description"), v.form("org"), v.command()
	got, err := v.c.API.User.CreateMachineUser(v.ctx, &munimentv1.CreateMachineUserRequest{OrganizationId: f.Org, Name: f.Name, Description: f.Description, CommandId: f.Command})
	if err != nil {
		return v.machineFormFailed(f, err)
	}
	return v.done(path("console", "people", got.GetUserId()), "The machine user is added. Give it a secret or a key, then a role.")
}

func (v *visit) machineFormFailed(f machineForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	to := &f.Problem
	switch faultField(err) {
	case "name":
		to = &f.NameError
	case "description":
		to = &f.DescriptionError
	}
	*to = page.Sentence(fault.Public(err))
	return v.machineForm(status, f)
}

func machineEdit(u *munimentv1.User) machineForm {
	return machineForm{ID: u.GetId(), Name: userName(u), Description: u.GetDescription(), Back: path("console", "people", u.GetId()), Heading: "Change " + userName(u), Button: "Save"}
}

func (v *visit) changeMachine(u *munimentv1.User) error {
	f := machineEdit(u)
	f.Name, f.Description, f.Command = v.form("name"), v.form("description"), v.command()
	if _, err := v.c.API.User.ChangeMachineUser(v.ctx, &munimentv1.ChangeMachineUserRequest{UserId: f.ID, Name: &f.Name, Description: &f.Description, CommandId: f.Command}); err != nil {
		return v.machineFormFailed(f, err)
	}
	return v.done(f.Back, "Changed.")
}

// machinePage is the data of machine.html.
type machinePage struct {
	personPage
	Secrets []*munimentv1.ClientSecret
	Keys    []*munimentv1.ClientKey
	Issuer  string
}

// machine shows a machine user, of whom p is what a page shows of everybody.
func (v *visit) machine(got *munimentv1.GetUserResponse, p personPage) error {
	return v.show("machine", "people", userName(got.GetUser()), machinePage{personPage: p, Secrets: got.GetSecrets(), Keys: got.GetKeys(), Issuer: v.c.Site.Origin()})
}

func machineCredentials(u *munimentv1.User) credentialForm {
	return credentialForm{Client: userName(u), Nav: "people", Back: path("console", "people", u.GetId())}
}

// getMachine reads the machine user whom the address names.
func (v *visit) getMachine() (*munimentv1.GetUserResponse, error) {
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	if got.GetUser().GetKind() != machineKind {
		return nil, fault.New(fault.NotFound, "there is no such page")
	}
	return got, nil
}

func (v *visit) newUserSecret() error { return v.newUserCredential("secret") }

func (v *visit) newUserKey() error { return v.newUserCredential("key") }

func (v *visit) newUserCredential(what string) error {
	got, err := v.getMachine()
	if err != nil {
		return err
	}
	return v.credentialForm(http.StatusOK, what, machineCredentials(got.GetUser()))
}

func (v *visit) createUserSecret() error {
	got, err := v.getMachine()
	if err != nil {
		return err
	}
	id, f := got.GetUser().GetId(), v.typedCredential(machineCredentials(got.GetUser()))
	res, err := v.c.API.User.CreateUserSecret(v.ctx, &munimentv1.CreateUserSecretRequest{UserId: id, Name: f.Name, Expires: f.expires(), CommandId: f.Command})
	return v.secretCreated(f, id, res.GetClientSecret(), err)
}

func (v *visit) addUserKey() error {
	got, err := v.getMachine()
	if err != nil {
		return err
	}
	f := v.typedCredential(machineCredentials(got.GetUser()))
	_, err = v.c.API.User.AddUserKey(v.ctx, &munimentv1.AddUserKeyRequest{UserId: got.GetUser().GetId(), Name: f.Name, PublicKey: f.PublicKey, Expires: f.expires(), CommandId: f.Command})
	return v.keyAdded(f, err)
}

// userCredential finds which secret or key of a machine user an address names.
func (v *visit) userCredential() (string, question, error) {
	got, err := v.getMachine()
	if err != nil {
		return "", question{}, err
	}
	q, err := v.removal(got.GetSecrets(), got.GetKeys(), machineCredentials(got.GetUser()))
	q.Points = append(q.Points, "Tokens that were got with it are refused at once where this server is asked.")
	return got.GetUser().GetId(), q, err
}

func (v *visit) askUserCredential() error {
	_, q, err := v.userCredential()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) removeUserCredential() error {
	id, q, err := v.userCredential()
	if err != nil {
		return err
	}
	of := v.r.PathValue("credential")
	if v.r.PathValue("a") == "keys" {
		_, err = v.c.API.User.RemoveUserKey(v.ctx, &munimentv1.RemoveUserKeyRequest{UserId: id, KeyId: of, CommandId: v.command(), Reason: v.form("reason")})
	} else {
		_, err = v.c.API.User.RemoveUserSecret(v.ctx, &munimentv1.RemoveUserSecretRequest{UserId: id, SecretId: of, CommandId: v.command(), Reason: v.form("reason")})
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, "Removed. It stopped working at once.")
}
