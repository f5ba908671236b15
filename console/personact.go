package console

import (
	"fmt"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// personQuestion is what is asked before an action on a person; ok is false if
// there is no such action.
func personQuestion(action string, u *munimentv1.User) (q question, ok bool) {
	name := userName(u)
	if name == "" {
		name = "this person"
	}
	back := path("console", "people", u.GetId())
	q = question{Back: back, Nav: "people", Reason: true}
	switch action {
	case "lock":
		q.Heading, q.Button = "Lock "+name+"?", "Lock"
		q.Lede = "For an account that may be in wrong hands."
		q.Points = []string{"All sessions end at once.", "Nobody can sign in with this account until it is unlocked.", "Roles and data stay as they are."}
	case "unlock":
		q.Heading, q.Button = "Unlock "+name+"?", "Unlock"
		q.Points = []string{"The person can sign in again, with the same password and the same roles."}
	case "end-lockout":
		q.Heading, q.Button = "End the lockout of "+name+"?", "End it"
		q.Lede = "Too many wrong passwords were given for this account."
		q.Points = []string{"The person can sign in again at once, with the right password.", "If somebody is guessing, they can go on, too."}
	case "deactivate":
		q.Heading, q.Button = "Deactivate "+name+"?", "Deactivate"
		q.Lede = "For somebody who has left."
		q.Points = []string{"All sessions end at once.", "The account stays, with its name and its history, but out of use.", "It can be taken into use again."}
	case "reactivate":
		q.Heading, q.Button = "Reactivate "+name+"?", "Reactivate"
		q.Points = []string{"The person can sign in again, with the roles that they had."}
	case "setup-link":
		if u.GetKind() == machineKind {
			return q, false
		}
		q.Heading, q.Button = "Make a set-up link?", "Make the link"
		q.Lede = "Whoever opens it sets the password of " + name + ". You will see it once; hand it over by a way that you trust."
		q.Points = []string{"An earlier link stops working.", "It works once and for a limited time."}
	case "erase":
		q.Heading, q.Button, q.Danger = "Erase "+name+"?", "Erase for good", true
		q.Lede = "For somebody who asks to be forgotten. Nobody can undo it, not even with a backup of the log."
		q.Points = []string{
			"The key to everything personal about them is destroyed, in the log, too: names, addresses, devices.",
			"Their sessions end, and the e-mail address is free again.",
			"That something happened, when and in which order stays: root, proofs and old receipts are unchanged.",
		}
		q.Type, q.Typed = u.GetEmail().GetValue(), "their e-mail address"
		if q.Type == "" {
			q.Type, q.Typed = userName(u), "their name"
		}
	default:
		return q, false
	}
	if u.GetKind() == machineKind {
		machineQuestion(action, u, &q)
	}
	return q, true
}

// machineQuestion says the same of a machine user, of which other things follow.
func machineQuestion(action string, u *munimentv1.User, q *question) {
	switch action {
	case "lock", "deactivate":
		q.Lede, q.Points = "", []string{"Its secrets and keys prove nothing, and its tokens are refused at once where this server is asked.", "Roles, secrets and keys stay as they are, and can be taken into use again."}
	case "unlock", "reactivate":
		q.Points = []string{"Its secrets and keys work again, with the roles that it had."}
	case "erase":
		q.Heading, q.Button, q.Lede = "Remove "+userName(u)+"?", "Remove for good", "Nobody can undo it."
		q.Points = []string{"Its secrets, keys and tokens stop working, and what it may do ends.", "Its name and its history stay in the log."}
	}
}

// askPerson shows the question before an action.
func (v *visit) askPerson() error {
	q, _, err := v.personQuestion()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) personQuestion() (question, *munimentv1.User, error) {
	id, err := v.id()
	if err != nil {
		return question{}, nil, err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
	if err != nil {
		return question{}, nil, v.c.AsFault(err)
	}
	q, ok := personQuestion(v.r.PathValue("action"), got.GetUser())
	if !ok {
		return q, nil, fault.New(fault.NotFound, "there is no such page")
	}
	return q, got.GetUser(), nil
}

// actPerson does what the question asked.
func (v *visit) actPerson() error {
	q, u, err := v.personQuestion()
	if err != nil {
		return err
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	api, id, cmd, why := v.c.API.User, u.GetId(), v.command(), v.form("reason")
	var said string
	switch v.r.PathValue("action") {
	case "lock":
		_, err = api.LockUser(v.ctx, &munimentv1.LockUserRequest{UserId: id, CommandId: cmd, Reason: why})
		said = "Locked. All sessions are ended."
	case "unlock":
		_, err = api.UnlockUser(v.ctx, &munimentv1.UnlockUserRequest{UserId: id, CommandId: cmd, Reason: why})
		said = "Unlocked."
	case "end-lockout":
		_, err = api.EndLockout(v.ctx, &munimentv1.EndLockoutRequest{UserId: id, CommandId: cmd, Reason: why})
		said = "The lockout is ended."
	case "deactivate":
		_, err = api.DeactivateUser(v.ctx, &munimentv1.DeactivateUserRequest{UserId: id, CommandId: cmd, Reason: why})
		said = "Deactivated. All sessions are ended."
	case "reactivate":
		_, err = api.ReactivateUser(v.ctx, &munimentv1.ReactivateUserRequest{UserId: id, CommandId: cmd, Reason: why})
		said = "Active again."
	case "erase":
		var got *munimentv1.EraseUserResponse
		if got, err = api.EraseUser(v.ctx, &munimentv1.EraseUserRequest{UserId: id, CommandId: cmd, Reason: why}); err == nil {
			said = fmt.Sprintf("Erased. The erasure is event %d of the log.", got.GetChange().GetPosition())
		}
	case "setup-link":
		got, err := api.CreateSetupLink(v.ctx, &munimentv1.CreateSetupLinkRequest{UserId: id, CommandId: cmd, Reason: why})
		if err != nil {
			return v.refused(q.Back, err)
		}
		return v.showLink(id, got.GetSetupLink(), "Hand over this link")
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, said)
}

// rolePage is the data of rolechoice.html.
type rolePage struct {
	User   *munimentv1.User
	Groups []roleGroup
}

type roleGroup struct {
	Project string
	Roles   []option // value: project id ‖ ":" ‖ role key
}

// chooseRole offers the roles of all projects that the person does not have.
func (v *visit) chooseRole() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	got, err := v.c.API.User.GetUser(v.ctx, &munimentv1.GetUserRequest{UserId: id})
	if err != nil {
		return v.c.AsFault(err)
	}
	held, err := v.c.API.Grant.ListGrants(v.ctx, &munimentv1.ListGrantsRequest{Filter: &munimentv1.GrantFilter{UserId: id}, PageSize: 500})
	if err != nil {
		return v.c.AsFault(err)
	}
	has := map[string]bool{}
	for _, g := range held.GetGrants() {
		for _, k := range g.GetRoleKeys() {
			has[g.GetProjectId()+":"+k] = true
		}
	}
	projects, err := v.c.API.Project.ListProjects(v.ctx, &munimentv1.ListProjectsRequest{PageSize: 100})
	if err != nil {
		return v.c.AsFault(err)
	}
	p := rolePage{User: got.GetUser()}
	for _, pr := range projects.GetProjects() {
		roles, err := v.c.API.Project.ListRoles(v.ctx, &munimentv1.ListRolesRequest{ProjectId: pr.GetId(), PageSize: 500})
		if err != nil {
			return v.c.AsFault(err)
		}
		g := roleGroup{Project: pr.GetName()}
		for _, r := range roles.GetRoles() {
			if value := pr.GetId() + ":" + r.GetKey(); !has[value] {
				g.Roles = append(g.Roles, option{value, roleLabel(r)})
			}
		}
		if len(g.Roles) > 0 {
			p.Groups = append(p.Groups, g)
		}
	}
	return v.show("rolechoice", "people", "Give a role", p)
}

func roleLabel(r *munimentv1.Role) string {
	if r.GetName() == "" || r.GetName() == r.GetKey() {
		return r.GetKey()
	}
	return r.GetName() + " (" + r.GetKey() + ")"
}
