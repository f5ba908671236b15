package console

import (
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// chosenRole reads a role as the forms write it: project id ‖ ":" ‖ key.
func (v *visit) chosenRole() (project, key string, err error) {
	project, key, ok := strings.Cut(v.form("role"), ":")
	if !ok {
		return "", "", fault.Field("role", "choose a role")
	}
	return project, key, nil
}

func (v *visit) grantRole() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	back := path("console", "people", id)
	project, key, err := v.chosenRole()
	if err != nil {
		return v.refused(path("console", "people", id, "roles"), err)
	}
	_, err = v.c.API.Grant.GrantRole(v.ctx, &munimentv1.GrantRoleRequest{UserId: id, ProjectId: project, RoleKeys: []string{key}, CommandId: v.command(), Reason: v.form("reason")})
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is given. Applications see it with the next token.")
}

func (v *visit) withdrawRole() error {
	id, err := v.id()
	if err != nil {
		return err
	}
	back := path("console", "people", id)
	project, key, err := v.chosenRole()
	if err != nil {
		return v.refused(back, err)
	}
	_, err = v.c.API.Grant.WithdrawRole(v.ctx, &munimentv1.WithdrawRoleRequest{UserId: id, ProjectId: project, RoleKeys: []string{key}, CommandId: v.command()})
	if err != nil {
		return v.refused(back, err)
	}
	return v.done(back, "The role is withdrawn: at once where the server is asked, with the next token elsewhere.")
}

// grantQuestion is what is asked before a user's roles in a project go out of
// use, or come into it.
func (v *visit) grantQuestion() (q question, user, project string, err error) {
	if user, err = v.id(); err != nil {
		return q, "", "", err
	}
	project = v.r.PathValue("project")
	pr := v.projectOf(project)
	if pr == nil {
		return q, "", "", v.nothing()
	}
	who := or(userName(v.userOf(user)), "this person")
	q = question{Nav: "people", Back: path("console", "people", user), Reason: true}
	switch v.r.PathValue("a") {
	case "deactivate":
		q.Heading, q.Button = "Deactivate the roles of "+who+" in "+pr.GetName()+"?", "Deactivate"
		q.Points = []string{"None of them stands in a token any more, nor in what the server says about tokens that there are.", "They stay where they are, and can be taken into use again."}
	case "reactivate":
		q.Heading, q.Button = "Reactivate the roles of "+who+" in "+pr.GetName()+"?", "Reactivate"
		q.Points = []string{"Applications see them again with the next token."}
	default:
		return q, "", "", v.nothing()
	}
	return q, user, project, nil
}

func (v *visit) askGrant() error {
	q, _, _, err := v.grantQuestion()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) actGrant() error {
	q, user, project, err := v.grantQuestion()
	if err != nil {
		return err
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	said := "Deactivated. The roles stand in no token any more."
	if v.r.PathValue("a") == "deactivate" {
		_, err = v.c.API.Grant.DeactivateGrant(v.ctx, &munimentv1.DeactivateGrantRequest{UserId: user, ProjectId: project, CommandId: v.command(), Reason: v.form("reason")})
	} else {
		said = "Active again."
		_, err = v.c.API.Grant.ReactivateGrant(v.ctx, &munimentv1.ReactivateGrantRequest{UserId: user, ProjectId: project, CommandId: v.command(), Reason: v.form("reason")})
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, said)
}
