package app

import (
	"muniment.dev/event"
	"muniment.dev/project"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of applications that have not ended, by id. Secrets are
// not in it.
const Table = "applications"

// View declares the table of applications. They end with their project.
func View() view.View {
	return view.View{
		Name: "applications", Revision: 1, Types: append(entity.Types(Events()), "project.removed"), Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "project", Kind: event.IDRef},
				view.Column{Name: "organization", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "native", Kind: event.Bool},
				view.Column{Name: "redirect_uris", Kind: event.Texts},
				view.Column{Name: "post_logout_redirect_uris", Kind: event.Texts},
				view.Column{Name: "id_token_alg", Kind: event.Text},
			),
			Indexes: [][]string{{entity.Order}, {"organization", entity.Order}, {"project", entity.Order}},
		}},
	}
}

// apply selects by Where what may have ended with its project meanwhile.
func apply(f event.Fact) []view.Change {
	key := view.Values{"id": f.Stream.ID}
	switch p := f.Payload.(type) {
	case WebAdded:
		return put(f, view.Values{"project": p.Project, "organization": p.Organization, "name": p.Name, "native": false,
			"redirect_uris": p.Redirects, "post_logout_redirect_uris": p.LogoutRedirect, "id_token_alg": p.Algorithm})
	case NativeAdded:
		return put(f, view.Values{"project": p.Project, "organization": p.Organization, "name": p.Name, "native": true,
			"redirect_uris": p.Redirects, "id_token_alg": "ES256"})
	case RedirectURIsChanged:
		return []view.Change{{Table: Table, Where: key, Set: entity.Changed(f, view.Values{"redirect_uris": p.Redirects, "post_logout_redirect_uris": p.LogoutRedirect})}}
	case SecretRotated:
		return []view.Change{{Table: Table, Where: key, Set: entity.Changed(f, nil)}}
	case Removed:
		return []view.Change{view.Remove(Table, key)}
	case project.Removed:
		return []view.Change{{Table: Table, Where: view.Values{"project": p.Project}, Delete: true}}
	}
	return nil
}

func put(f event.Fact, set view.Values) []view.Change {
	return []view.Change{view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Created(f, set))}
}
