package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// appFormPosted are the forms of an application's page, by the last part of
// their address; what is asked first is in applicationQuestion.
var appFormPosted = map[string]func(*visit, *munimentv1.GetApplicationResponse) error{
	"addresses": (*visit).changeAddresses,
	"origins":   (*visit).changeOrigins,
	"settings":  (*visit).changeSettings,
	"secret":    (*visit).createAppSecret,
	"key":       (*visit).addAppKey,
	"rename":    (*visit).renameApplication,
}

func (v *visit) changeAddresses(got *munimentv1.GetApplicationResponse) error {
	a := got.GetApplication()
	p := appPage{URIs: v.form("uris"), Logout: v.form("logout"), Origins: joined(a.GetAllowedOrigins()), Command: v.command()}
	_, err := v.c.API.Application.ChangeRedirectUris(v.ctx, &munimentv1.ChangeRedirectUrisRequest{ApplicationId: a.GetId(),
		RedirectUris: lines(p.URIs), PostLogoutRedirectUris: lines(p.Logout), CommandId: p.Command})
	return v.appChanged(got, p, err, "The addresses are changed. They are compared exactly.")
}

func (v *visit) changeOrigins(got *munimentv1.GetApplicationResponse) error {
	a := got.GetApplication()
	p := appPage{URIs: joined(a.GetRedirectUris()), Logout: joined(a.GetPostLogoutRedirectUris()), Origins: v.form("origins"), Command: v.command()}
	_, err := v.c.API.Application.ChangeAllowedOrigins(v.ctx, &munimentv1.ChangeAllowedOriginsRequest{ApplicationId: a.GetId(), AllowedOrigins: lines(p.Origins), CommandId: p.Command})
	return v.appChanged(got, p, err, "The origins are changed.")
}

func (v *visit) changeSettings(got *munimentv1.GetApplicationResponse) error {
	a := got.GetApplication()
	consent := v.form("consent") != ""
	req := &munimentv1.ChangeApplicationSettingsRequest{ApplicationId: a.GetId(), CommandId: v.command(), AskConsent: &consent,
		GrantTypes:       []munimentv1.GrantType{munimentv1.GrantType_GRANT_TYPE_AUTHORIZATION_CODE},
		AccessTokenType:  munimentv1.AccessTokenType(munimentv1.AccessTokenType_value["ACCESS_TOKEN_TYPE_"+v.form("token")]),
		IdTokenAlg:       munimentv1.SigningAlgorithm(munimentv1.SigningAlgorithm_value["SIGNING_ALGORITHM_"+v.form("alg")]),
		ClientAuthMethod: munimentv1.ClientAuthMethod(munimentv1.ClientAuthMethod_value["CLIENT_AUTH_METHOD_"+v.form("auth")])}
	if v.form("refresh") != "" {
		req.GrantTypes = append(req.GrantTypes, munimentv1.GrantType_GRANT_TYPE_REFRESH_TOKEN)
	}
	if !kindOf(a.GetKind()).SignsIn() {
		req.GrantTypes, req.AskConsent = nil, nil
	} else if v.me.Writes("") {
		api := v.form("api") != ""
		req.ApiAccess = &api
	}
	_, err := v.c.API.Application.ChangeApplicationSettings(v.ctx, req)
	return v.appChanged(got, appPage{}, err, "The settings are changed. They hold for tokens from now on.")
}

// appChanged leads back to the page after a change of an application, or shows
// it again with what was wrong.
func (v *visit) appChanged(got *munimentv1.GetApplicationResponse, p appPage, err error, say string) error {
	if err == nil {
		return v.done(path("console", "applications", got.GetApplication().GetId()), say)
	}
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	v.addressErrors(err, &p.Problem, &p.URIError, &p.LogoutError, &p.OriginError, &p.Problem, &p.Problem)
	return v.showApplication(status, got, p)
}

func joined(list []string) string {
	out := ""
	for _, l := range list {
		out += l + "\n"
	}
	return out
}

func (v *visit) appCredentials(a *munimentv1.Application) credentialForm {
	return credentialForm{Client: a.GetName(), Nav: "projects", Back: path("console", "applications", a.GetId())}
}

func (v *visit) createAppSecret(got *munimentv1.GetApplicationResponse) error {
	a := got.GetApplication()
	f := v.typedCredential(v.appCredentials(a))
	req := &munimentv1.CreateApplicationSecretRequest{ApplicationId: a.GetId(), Name: f.Name, Expires: f.expires(), CommandId: f.Command}
	res, err := v.c.API.Application.CreateApplicationSecret(v.ctx, req)
	return v.secretCreated(f, a.GetClientId(), res.GetClientSecret(), err)
}

func (v *visit) addAppKey(got *munimentv1.GetApplicationResponse) error {
	f := v.typedCredential(v.appCredentials(got.GetApplication()))
	_, err := v.c.API.Application.AddApplicationKey(v.ctx, &munimentv1.AddApplicationKeyRequest{ApplicationId: got.GetApplication().GetId(), Name: f.Name,
		PublicKey: f.PublicKey, Expires: f.expires(), CommandId: f.Command})
	return v.keyAdded(f, err)
}

func appRename(a *munimentv1.Application) nameForm {
	return nameForm{Heading: "Rename " + a.GetName(), Button: "Rename", Back: path("console", "applications", a.GetId()), Name: a.GetName()}
}

func (v *visit) renameApplication(got *munimentv1.GetApplicationResponse) error {
	f := appRename(got.GetApplication())
	f.Name = v.form("name")
	if _, err := v.c.API.Application.RenameApplication(v.ctx, &munimentv1.RenameApplicationRequest{ApplicationId: got.GetApplication().GetId(), Name: f.Name, CommandId: v.command()}); err != nil {
		return v.nameFailed("projects", f, err)
	}
	return v.done(f.Back, "Renamed. People see the new name when they sign in.")
}

// applicationQuestion is what is asked before an action on an application.
func applicationQuestion(action string, a *munimentv1.Application) (q question, ok bool) {
	q = question{Nav: "projects", Back: path("console", "applications", a.GetId()), Reason: true}
	switch action {
	case "deactivate":
		q.Heading, q.Button = "Deactivate "+a.GetName()+"?", "Deactivate"
		q.Points = []string{"Nobody can sign in to it, and its secrets and keys prove nothing.", "Its tokens are refused at once where this server is asked.", "It can be taken into use again, as it is."}
		q.Type, q.Typed = a.GetName(), "the application's name"
	case "restore":
		q.Heading, q.Button = "Restore "+a.GetName()+"?", "Restore"
		q.Points = []string{"People can sign in to it again, and do so anew.", "Those of its secrets and keys that have not expired work again. Remove those that leaked."}
	case "reactivate":
		q.Heading, q.Button = "Reactivate "+a.GetName()+"?", "Reactivate"
		q.Points = []string{"People can sign in to it again, and the secrets and keys that it has work again."}
	case "remove":
		q.Heading, q.Button, q.Danger = "Remove "+a.GetName()+"?", "Remove", true
		q.Points = []string{"Nobody can sign in to it, and its secrets and keys stop working at once.", "It can be restored. Its history stays in the log."}
		q.Type, q.Typed = a.GetName(), "the application's name"
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askApplication() error {
	got, err := v.getApplication()
	if err != nil {
		return err
	}
	a, action := got.GetApplication(), v.r.PathValue("a")
	switch {
	case action == "rename":
		return v.nameForm(200, "projects", appRename(a))
	case (action == "secret" || action == "key") && kindOf(a.GetKind()).Confidential():
		return v.credentialForm(200, action, v.appCredentials(a))
	}
	q, ok := applicationQuestion(action, a)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actApplication() error {
	got, err := v.getApplication()
	if err != nil {
		return err
	}
	a, action := got.GetApplication(), v.r.PathValue("a")
	if post, ok := appFormPosted[action]; ok {
		return post(v, got)
	}
	q, ok := applicationQuestion(action, a)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	id, command, reason := a.GetId(), v.command(), v.form("reason")
	switch action {
	case "deactivate":
		_, err = v.c.API.Application.DeactivateApplication(v.ctx, &munimentv1.DeactivateApplicationRequest{ApplicationId: id, CommandId: command, Reason: reason})
	case "reactivate":
		_, err = v.c.API.Application.ReactivateApplication(v.ctx, &munimentv1.ReactivateApplicationRequest{ApplicationId: id, CommandId: command, Reason: reason})
	case "restore":
		_, err = v.c.API.Application.RestoreApplication(v.ctx, &munimentv1.RestoreApplicationRequest{ApplicationId: id, CommandId: command, Reason: reason})
	case "remove":
		_, err = v.c.API.Application.RemoveApplication(v.ctx, &munimentv1.RemoveApplicationRequest{ApplicationId: id, CommandId: command, Reason: reason})
		q.Back = path("console", "projects", a.GetProjectId())
	}
	if err != nil {
		return v.refused(path("console", "applications", id), err)
	}
	return v.done(q.Back, "The application is "+action+"d.")
}

// appCredential finds which secret or key of an application an address names.
func (v *visit) appCredential() (*munimentv1.Application, question, error) {
	got, err := v.getApplication()
	if err != nil {
		return nil, question{}, err
	}
	q, err := v.removal(got.GetSecrets(), got.GetKeys(), v.appCredentials(got.GetApplication()))
	return got.GetApplication(), q, err
}

func (v *visit) askAppCredential() error {
	_, q, err := v.appCredential()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) removeAppCredential() error {
	a, q, err := v.appCredential()
	if err != nil {
		return err
	}
	of := v.r.PathValue("credential")
	if v.r.PathValue("a") == "keys" {
		_, err = v.c.API.Application.RemoveApplicationKey(v.ctx, &munimentv1.RemoveApplicationKeyRequest{ApplicationId: a.GetId(), KeyId: of, CommandId: v.command(), Reason: v.form("reason")})
	} else {
		_, err = v.c.API.Application.RemoveApplicationSecret(v.ctx, &munimentv1.RemoveApplicationSecretRequest{ApplicationId: a.GetId(), SecretId: of, CommandId: v.command(), Reason: v.form("reason")})
	}
	if err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, "Removed. It stopped working at once.")
}
