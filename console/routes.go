package console

import "net/http"

// routes are all pages and all forms.
func (o *Console) routes() map[string]func(*visit) error {
	return map[string]func(*visit) error{
		"GET /{$}":         (*visit).home,
		"GET /console":     (*visit).home,
		"GET /console/{$}": (*visit).home,
		"/":                (*visit).nothing,

		"GET /console/people":                                      (*visit).people,
		"POST /console/people":                                     (*visit).searchPeople,
		"GET /console/people/new":                                  (*visit).newPerson,
		"POST /console/people/new":                                 (*visit).createPerson,
		"GET /console/people/{id}":                                 (*visit).person,
		"GET /console/people/{id}/edit":                            (*visit).editPerson,
		"POST /console/people/{id}/edit":                           (*visit).changePerson,
		"GET /console/people/{id}/roles":                           (*visit).chooseRole,
		"POST /console/people/{id}/roles":                          (*visit).grantRole,
		"POST /console/people/{id}/withdraw":                       (*visit).withdrawRole,
		"GET /console/people/{id}/grants/{project}/{a}":            (*visit).askGrant,
		"POST /console/people/{id}/grants/{project}/{a}":           (*visit).actGrant,
		"GET /console/people/{id}/{action}":                        (*visit).askPerson,
		"POST /console/people/{id}/{action}":                       (*visit).actPerson,
		"GET /console/people/{id}/secret":                          (*visit).newUserSecret,
		"POST /console/people/{id}/secret":                         (*visit).createUserSecret,
		"GET /console/people/{id}/key":                             (*visit).newUserKey,
		"POST /console/people/{id}/key":                            (*visit).addUserKey,
		"GET /console/people/{id}/{a}/{credential}":                (*visit).askUserCredential,
		"POST /console/people/{id}/{a}/{credential}":               (*visit).removeUserCredential,
		"GET /console/machines/new":                                (*visit).newMachine,
		"POST /console/machines/new":                               (*visit).createMachine,
		"GET /console/people/{id}/applications/{application}/end":  (*visit).askUsedApp,
		"POST /console/people/{id}/applications/{application}/end": (*visit).endUsedApp,
		"GET /console/expiring":                                    (*visit).expiring,
		"POST /console/sessions/{id}/end":                          (*visit).endSession,
		"GET /console/members":                                     (*visit).members,
		"GET /console/members/new":                                 (*visit).newMember,
		"POST /console/members/new":                                (*visit).addMember,
		"POST /console/members/remove":                             (*visit).removeMember,
		"POST /console/members/change":                             (*visit).changeMember,
		"GET /console/permissions":                                 (*visit).permissions,
		"GET /console/permissions/new":                             (*visit).newPermission,
		"POST /console/permissions/new":                            (*visit).grantPermission,
		"POST /console/permissions/withdraw":                       (*visit).withdrawPermission,
		"GET /console/policies":                                    (*visit).policies,
		"GET /console/policies/{kind}":                             (*visit).editPolicy,
		"POST /console/policies/{kind}":                            (*visit).changePolicy,
		"GET /console/policies/{kind}/reset":                       (*visit).askPolicyReset,
		"POST /console/policies/{kind}/reset":                      (*visit).resetPolicy,
		"GET /console/organizations":                               (*visit).organizations,
		"GET /console/organizations/new":                           (*visit).newOrganization,
		"POST /console/organizations/new":                          (*visit).createOrganization,
		"GET /console/organizations/{id}":                          (*visit).organization,
		"GET /console/organizations/{id}/{a}":                      (*visit).askOrganization,
		"POST /console/organizations/{id}/{a}":                     (*visit).actOrganization,
		"POST /console/organizations/{id}/domains":                 (*visit).addDomain,
		"POST /console/organizations/{id}/domains/{a}":             (*visit).actDomain,

		"GET /console/projects":                            (*visit).projects,
		"GET /console/projects/new":                        (*visit).newProject,
		"POST /console/projects/new":                       (*visit).createProject,
		"GET /console/projects/{id}":                       (*visit).project,
		"POST /console/projects/{id}/roles":                (*visit).addRole,
		"POST /console/projects/{id}/roles/remove":         (*visit).removeRole,
		"POST /console/projects/{id}/roles/rename":         (*visit).renameRole,
		"GET /console/projects/{id}/applications/new":      (*visit).newApplication,
		"POST /console/projects/{id}/applications/new":     (*visit).createApplication,
		"GET /console/projects/{id}/{a}":                   (*visit).askProject,
		"POST /console/projects/{id}/{a}":                  (*visit).actProject,
		"GET /console/applications/{id}":                   (*visit).application,
		"GET /console/applications/{id}/{a}":               (*visit).askApplication,
		"POST /console/applications/{id}/{a}":              (*visit).actApplication,
		"GET /console/applications/{id}/{a}/{credential}":  (*visit).askAppCredential,
		"POST /console/applications/{id}/{a}/{credential}": (*visit).removeAppCredential,

		"GET /console/events":                    (*visit).events,
		"GET /console/events/live":               (*visit).live,
		"GET /console/events/{position}":         (*visit).event,
		"GET /console/events/{position}/receipt": (*visit).receipt,
		"GET /console/compare":                   (*visit).compare,
		"GET /console/holders":                   (*visit).holders,
		"GET /console/instance":                  (*visit).instance,
		"GET /console/statistics":                (*visit).statistics,
		"GET /console/instance/settings":         (*visit).editSettings,
		"POST /console/instance/settings":        (*visit).saveSettings,

		"GET /console/instance/keys":      (*visit).signingKeys,
		"GET /console/instance/keys/{a}":  (*visit).askKeys,
		"POST /console/instance/keys/{a}": (*visit).rotateKeys,

		"GET /console/instance/keys/schedule":  (*visit).editSchedule,
		"POST /console/instance/keys/schedule": (*visit).changeSchedule,

		"GET /console/adapters":                (*visit).adapters,
		"GET /console/adapters/new":            (*visit).newAdapter,
		"POST /console/adapters/new":           (*visit).createAdapter,
		"GET /console/adapters/{id}":           (*visit).adapter,
		"GET /console/adapters/{id}/{a}":       (*visit).askAdapter,
		"POST /console/adapters/{id}/{a}":      (*visit).actAdapter,
		"GET /console/subscriptions":           (*visit).subscriptions,
		"GET /console/subscriptions/new":       (*visit).newSubscription,
		"POST /console/subscriptions/new":      (*visit).createSubscription,
		"GET /console/subscriptions/{id}":      (*visit).subscription,
		"GET /console/subscriptions/{id}/{a}":  (*visit).askSubscription,
		"POST /console/subscriptions/{id}/{a}": (*visit).actSubscription,

		"GET /console/definitions":               (*visit).definitions,
		"GET /console/definitions/change":        (*visit).askDefinitions,
		"POST /console/definitions/change":       (*visit).changeDefinitions,
		"GET /console/entities":                  (*visit).entityTypes,
		"GET /console/entities/{type}":           (*visit).entities,
		"POST /console/entities/{type}":          (*visit).searchEntities,
		"GET /console/entities/{type}/{id}":      (*visit).entity,
		"GET /console/entities/{type}/{id}/{a}":  (*visit).askEntity,
		"POST /console/entities/{type}/{id}/{a}": (*visit).actEntity,

		"GET /console/review":                            (*visit).duplicates,
		"GET /console/review/pairs/{type}/{id}/{other}":  (*visit).pair,
		"POST /console/review/pairs/{type}/{id}/{other}": (*visit).settlePair,
		"GET /console/review/kept":                       (*visit).keptEvents,
		"GET /console/review/kept/{id}/{event}":          (*visit).kept,
		"POST /console/review/kept/{id}/{event}":         (*visit).settleKept,

		"GET /console/instances":           (*visit).hostedInstances,
		"GET /console/instances/new":       (*visit).newHosted,
		"POST /console/instances/new":      (*visit).createHosted,
		"GET /console/instances/{id}":      (*visit).hosted,
		"GET /console/instances/{id}/{a}":  (*visit).askHosted,
		"POST /console/instances/{id}/{a}": (*visit).actHosted,

		"GET /account":           (*visit).account,
		"POST /account":          (*visit).changeAccount,
		"GET /account/password":  (*visit).askPassword,
		"POST /account/password": (*visit).changePassword,
		"GET /account/events":    (*visit).myEvents,

		"POST /account/applications/{id}/end": (*visit).endApplication,
	}
}

// home leads to the first place that the person may see.
func (v *visit) home() error {
	to := "/account"
	if v.me.reads() {
		to = "/console/people"
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}
