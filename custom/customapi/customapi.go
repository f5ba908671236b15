// Package customapi is the face of customers' definitions, events and entities
// in the API: it translates requests into commands and rows into answers.
//
// Who may read an entity: whoever has the right to read the objects of its
// organization, or may read every type of its events; and whoever a sealed field
// is about. Sealed fields are shown to whoever has the right to read sealed
// fields, or may unseal every type of its events; and to the person themselves.
package customapi

import (
	"context"

	"muniment.dev/api/adapter"
	"muniment.dev/audit"
	"muniment.dev/authz"
	"muniment.dev/custom/publish"
	"muniment.dev/event"
	"muniment.dev/ledger"
	"muniment.dev/seal/erasure"
)

// Needs are what the services rest on besides the core. Checkpoints, Prover and
// Reader are required.
type Needs struct {
	Catalog     *publish.Catalog
	Publisher   *publish.Publisher
	Reader      *audit.Reader
	Checkpoints *ledger.Publisher
	Prover      *ledger.Prover
	// Erasure says how far the erasure of a subject has come in this process.
	Erasure func(event.SubjectID) (erasure.Status, bool)
	// Record records that events were read; nil: nobody asks.
	Record func(context.Context, authz.Authority, audit.Read) error
}

// Service is what SchemaService and EntityService have in common.
type Service struct {
	core adapter.Core
	Needs
}

// New makes the services.
func New(c adapter.Core, n Needs) (*SchemaService, *EntityService) {
	s := &Service{c, n}
	return &SchemaService{s}, &EntityService{s}
}
