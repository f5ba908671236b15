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
