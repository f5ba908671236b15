// Package credentialapi is what the faces of applications and of machine users
// in the API share: it makes secrets, and turns rows of credentials into
// answers.
package credentialapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/credential"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// NewSecret makes a secret of 256 random bits, and what is stored of it.
func NewSecret(name string, expires *timestamppb.Timestamp) (secret string, n credential.NewSecret, err error) {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	secret = base64.RawURLEncoding.EncodeToString(b)
	n = credential.NewSecret{ID: event.NewID(), Name: name, Digest: sha256.Sum256([]byte(secret))}
	n.Expires, err = instant(expires)
	return secret, n, err
}

// NewKey is a key as a request brings it.
func NewKey(name, public string, expires *timestamppb.Timestamp) (credential.NewKey, error) {
	end, err := instant(expires)
	return credential.NewKey{ID: event.NewID(), Name: name, PublicKey: public, Expires: end}, err
}

func instant(t *timestamppb.Timestamp) (event.Instant, error) {
	if t == nil {
		return 0, nil
	}
	if !t.IsValid() || t.AsTime().UnixMicro() <= 0 {
		return 0, fault.Field("expires", "must be a time in the future")
	}
	return event.Instant(t.AsTime().UnixMicro()), nil
}

// Of answers the secrets and keys of one client, oldest first: the rows of a
// table in which column names it.
func Of(ctx context.Context, r *adapter.Reading, table, column string, client event.ID) (secrets []*munimentv1.ClientSecret, keys []*munimentv1.ClientKey, err error) {
	rows, err := r.All(ctx, view.Query{Table: table, Where: []view.Cond{view.Eq(column, client)}, OrderBy: []string{entity.Order}})
	for _, row := range rows {
		id, created, expires := row.ID("id").String(), adapter.Time(row.Time("created")), adapter.Time(row.Time("expires"))
		if kid := row.Text("kid"); kid != "" {
			keys = append(keys, &munimentv1.ClientKey{Id: id, Name: row.Text("name"), Kid: kid, Algorithm: row.Text("alg"), PublicKey: row.Text("jwk"), Created: created, Expires: expires})
			continue
		}
		secrets = append(secrets, &munimentv1.ClientSecret{Id: id, Name: row.Text("name"), Created: created, Expires: expires})
	}
	return secrets, keys, err
}

// Recorded is the payload of the record that a repeated command left when it
// was given first.
func Recorded[T any](ctx context.Context, c adapter.Core, res decide.Result) (p T, err error) {
	rec, err := c.Runner.Log.Record(ctx, res.Last)
	if err != nil {
		return p, err
	}
	f, err := c.Runner.Sealer.Decode(ctx, rec)
	p, _ = f.Payload.(T)
	return p, err
}
