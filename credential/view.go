package credential

import (
	"muniment.dev/event"
	"muniment.dev/view"
)

// Columns are those of a table of secrets and keys. A key has a kid; a secret
// has none. What a secret is, is in neither.
func Columns(own ...view.Column) []view.Column {
	return append(own,
		view.Column{Name: "id", Kind: event.IDRef},
		view.Column{Name: "name", Kind: event.Text},
		view.Column{Name: "expires", Kind: event.Time},
		view.Column{Name: "kid", Kind: event.Text},
		view.Column{Name: "alg", Kind: event.Text},
		view.Column{Name: "jwk", Kind: event.Text},
	)
}

// Row sets the columns of a secret, of which k has the name and the end only,
// or of a key.
func Row(set view.Values, k Key) view.Values {
	set["name"], set["kid"], set["alg"], set["jwk"] = k.Name, k.KeyID, k.Algorithm, k.JWK
	if k.Expires != 0 {
		set["expires"] = k.Expires
	}
	return set
}
