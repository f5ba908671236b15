package app

import (
	"muniment.dev/credential"
	"muniment.dev/event"
	"muniment.dev/project"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// The tables of all applications, by id, and of their secrets and keys. What a
// secret is, is in neither.
const (
	Table       = "applications"
	Credentials = "application_credentials"
)

// View declares both tables. Applications end with their project, and come back
// with it.
func View() view.View {
	return view.View{
		Name: "applications", Revision: 4, Types: append(entity.Types(Events()), "project.removed", "project.restored"), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "project", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "type", Kind: event.Text},
				view.Column{Name: "inactive", Kind: event.Bool},
				view.Column{Name: "removed", Kind: event.Bool},
				view.Column{Name: "project_removed", Kind: event.Bool},
				view.Column{Name: "redirect_uris", Kind: event.Texts},
				view.Column{Name: "post_logout_redirect_uris", Kind: event.Texts},
				view.Column{Name: "allowed_origins", Kind: event.Texts},
				view.Column{Name: "grant_types", Kind: event.Texts},
				view.Column{Name: "access_token_type", Kind: event.Text},
				view.Column{Name: "ask_consent", Kind: event.Bool},
				view.Column{Name: "id_token_alg", Kind: event.Text},
				view.Column{Name: "client_auth_method", Kind: event.Text},
				view.Column{Name: "api_access", Kind: event.Bool},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}, {"project", entity.Order}},
		}, {
			Name: Credentials,
			Key:  []string{"application", "id"},
			Columns: entity.Columns(credential.Columns(
				view.Column{Name: "application", Kind: event.IDRef},
				view.Column{Name: "project", Kind: event.IDRef},
			)...),
			Indexes: [][]string{{"application", entity.Order}, {"expires"}},
		}},
	}
}

// apply is the rows' part of Evolve.
func apply(f event.Fact) []view.Change {
	switch p := f.Payload.(type) {
	case Added:
		return []view.Change{view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Created(f, view.Values{"project": p.Project, "organization": p.Organization,
			"name": p.Name, "type": p.Type, "inactive": false, "removed": false, "project_removed": false, "redirect_uris": p.Redirects, "post_logout_redirect_uris": p.LogoutRedirect,
			"allowed_origins": p.Origins, "grant_types": p.GrantTypes, "access_token_type": p.AccessTokenType, "ask_consent": p.AskConsent,
			"id_token_alg": p.Algorithm, "client_auth_method": p.AuthMethod, "api_access": p.APIAccess}))}
	case Renamed:
		return changed(f, view.Values{"name": p.Name})
	case RedirectURIsChanged:
		return changed(f, view.Values{"redirect_uris": p.Redirects, "post_logout_redirect_uris": p.LogoutRedirect})
	case OriginsChanged:
		return changed(f, view.Values{"allowed_origins": p.Origins})
	case SettingsChanged:
		return changed(f, view.Values{"grant_types": p.GrantTypes, "access_token_type": p.AccessTokenType, "ask_consent": p.AskConsent,
			"id_token_alg": p.Algorithm, "client_auth_method": p.AuthMethod, "api_access": p.APIAccess})
	case Deactivated:
		return changed(f, view.Values{"inactive": true})
	case Reactivated:
		return changed(f, view.Values{"inactive": false})
	case Removed:
		return changed(f, view.Values{"removed": true})
	case Restored:
		return changed(f, view.Values{"removed": false})
	case project.Removed:
		return []view.Change{{Table: Table, Where: view.Values{"project": p.Project}, Set: view.Values{"project_removed": true}}}
	case project.Restored:
		return []view.Change{{Table: Table, Where: view.Values{"project": p.Project}, Set: view.Values{"project_removed": false}}}
	}
	return applyCredentials(f)
}

func applyCredentials(f event.Fact) []view.Change {
	key := func(id event.ID) view.Values { return view.Values{"application": f.Stream.ID, "id": id} }
	var row view.Change
	switch p := f.Payload.(type) {
	case SecretAdded:
		row = view.Put(Credentials, key(p.Secret), entity.Created(f, credential.Row(view.Values{"project": p.Project}, credential.Key{Name: p.Name, Expires: p.Expires})))
	case KeyAdded:
		row = view.Put(Credentials, key(p.Key), entity.Created(f, credential.Row(view.Values{"project": p.Project}, credential.Key{Name: p.Name, Expires: p.Expires, KeyID: p.KeyID, Algorithm: p.Algorithm, JWK: p.JWK})))
	case SecretRemoved:
		row = view.Remove(Credentials, key(p.Secret))
	case KeyRemoved:
		row = view.Remove(Credentials, key(p.Key))
	}
	return append(changed(f, nil), row)
}

// changed changes the row of an application.
func changed(f event.Fact, set view.Values) []view.Change {
	return []view.Change{{Table: Table, Where: view.Values{"id": f.Stream.ID}, Set: entity.Changed(f, set)}}
}
