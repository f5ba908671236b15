// Package seal encrypts what is personal in events under keys that can be
// destroyed, and opens it again.
//
// Each subject (a person, an instance, a day's visitors) has one key. A sealed
// block's ciphertext stands beside its record; the leaf holds a digest of it
// and one salted commitment per field, the salts derived from the key. When
// the key and the ciphertext are destroyed, the leaf and every proof stay as
// they were, and nobody can guess the commitments open. Keys live in a
// database of their own (Keys), never in the log or its backups.
//
// The bytes are specified in docs/record-format.md.
package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// BlindVersion is the version of the key under which new blind tags are made.
const BlindVersion = 1

// Assignments is what the log says about keys.
type Assignments interface {
	// AssignedKey says which key the log has assigned to a subject: Present with
	// the key, Absent if none is yet, or Erased.
	AssignedKey(ctx context.Context, s event.SubjectID) (event.KeyID, event.State, error)
	// Generation returns the log id that the next leaf carries: what is sealed
	// for it is bound to that id.
	Generation() event.LogID
}

// KeyStore holds subjects' keys. *Keys is one.
type KeyStore interface {
	// Draw returns a fresh key of a log, durable already, that nobody else gets.
	Draw(context.Context, event.LogID) (event.KeyID, Secret, error)
	// Get returns a key; fault.Erased if it was destroyed, fault.NotFound if it
	// was never in this store.
	Get(context.Context, event.LogID, event.KeyID) (Secret, error)
}

// Sealer turns events into drafts and records into facts, for one log. It is
// safe for concurrent use.
//
// A log may have several generations (docs/adr/0017). Keys are kept under the
// log's own id, that of the first, and so is the key of blind tags derived: an
// address is looked up once. What is sealed in a record is bound to the id in
// its leaf.
type Sealer struct {
	Log      event.LogID
	Instance event.SubjectID // under whose key the blind-tag key stands
	Assigned Assignments
	Keys     KeyStore
	Registry *event.Registry
	// Erased reports whether the log says that a subject was erased, whose key may
	// not be destroyed yet: nothing of it is opened any more. nil: only keys count.
	Erased func(context.Context, event.SubjectID) (bool, error)

	own atomic.Pointer[assignedKey] // the instance's, once it is known
}

// assignedKey is the key of a subject; it never gets another.
type assignedKey struct {
	subject event.SubjectID
	key     event.KeyID
}

// Context is what is recorded around events: Public stands in the leaf in
// clear, Sealed (by path "#context/<name>") under Subject.
type Context struct {
	Public  map[string]any
	Subject event.SubjectID
	Sealed  map[string]string
}

// around is the context of one of a command's events.
func (c Context) around(e event.New) Context {
	if len(e.Context) > 0 {
		public := maps.Clone(e.Context)
		maps.Copy(public, c.Public)
		c.Public = public
	}
	if len(e.Private) > 0 && !c.Subject.IsZero() {
		private := maps.Clone(e.Private)
		maps.Copy(private, c.Sealed)
		c.Sealed = private
	}
	return c
}

// ErrErased refuses to seal anything for an erased subject.
var ErrErased = fault.New(fault.Erased, "the subject was erased; nothing can be recorded about it any more")

// Seal makes drafts of a command's events. Subjects without a key get one from
// the pool; the log refuses the append if another got there first, and then
// the events are to be sealed again.
func (s *Sealer) Seal(ctx context.Context, actor event.Actor, events []event.New, c Context) ([]*event.Draft, error) {
	secrets := map[event.SubjectID]subjectKey{}
	drafts := make([]*event.Draft, len(events))
	for i, e := range events {
		d, err := s.draft(ctx, actor, e, c, secrets)
		if err != nil {
			return nil, fault.Wrap(fmt.Sprintf("seal %T", e.Payload), err)
		}
		drafts[i] = d
	}
	return drafts, nil
}

type subjectKey struct {
	id event.KeyID
	*derived
}

// key returns the key that a subject's blocks use, drawing one if need be.
func (s *Sealer) key(ctx context.Context, subject event.SubjectID, cache map[event.SubjectID]subjectKey) (subjectKey, error) {
	if sk, ok := cache[subject]; ok {
		return sk, nil
	}
	id, state, err := s.Assigned.AssignedKey(ctx, subject)
	if err != nil {
		return subjectKey{}, err
	}
	var sk subjectKey
	switch state {
	case event.Erased:
		return subjectKey{}, ErrErased
	case event.Present:
		sk.id = id
	default:
		if sk.id, _, err = s.Keys.Draw(ctx, s.Log); err != nil {
			return subjectKey{}, err
		}
	}
	if sk.derived, err = s.derived(ctx, s.Assigned.Generation(), sk.id); err != nil {
		return subjectKey{}, err
	}
	cache[subject] = sk
	return sk, nil
}

func (s *Sealer) draft(ctx context.Context, actor event.Actor, e event.New, c Context, keys map[event.SubjectID]subjectKey) (*event.Draft, error) {
	desc, err := s.Registry.Of(s.Log, e.Payload)
	if err != nil {
		return nil, err
	}
	parts, err := desc.Split(e.Payload)
	if err != nil {
		return nil, err
	}
	d := &event.Draft{ID: e.ID, Stream: e.Stream, Type: desc.Type, Revision: desc.Revision,
		Actor: actor, Public: parts.Public, Tags: parts.Tags}
	if d.ID.IsZero() {
		d.ID = event.NewID()
	}
	c = c.around(e)
	if len(c.Public) > 0 {
		if d.Context, err = event.EncodeMap(c.Public); err != nil {
			return nil, err
		}
	}
	sealed := parts.Sealed
	if len(c.Sealed) > 0 && desc.Type != "subject.erased" {
		if sealed, err = withContext(sealed, c); err != nil {
			return nil, err
		}
	}
	if d.Blind, err = s.blindTags(ctx, parts.Blind); err != nil {
		return nil, err
	}
	for _, subject := range slices.SortedFunc(maps.Keys(sealed), func(a, b event.SubjectID) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
		sk, err := s.key(ctx, subject, keys)
		if err != nil {
			return nil, err
		}
		if err := sealBlock(d, s.Assigned.Generation(), subject, sk, sealed[subject]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// withContext adds the sealed context to what is sealed for its subject.
func withContext(sealed map[event.SubjectID]map[string]cbor.RawMessage, c Context) (map[event.SubjectID]map[string]cbor.RawMessage, error) {
	if sealed == nil {
		sealed = map[event.SubjectID]map[string]cbor.RawMessage{}
	}
	fields := sealed[c.Subject]
	if fields == nil {
		fields = map[string]cbor.RawMessage{}
		sealed[c.Subject] = fields
	}
	for name, v := range c.Sealed {
		raw, err := event.AppendValue(nil, v)
		if err != nil {
			return nil, err
		}
		fields["#context/"+name] = raw
	}
	return sealed, nil
}

// sealBlock encrypts and commits one subject's fields and appends the block to
// the draft, whose blind tags are made already.
func sealBlock(d *event.Draft, log event.LogID, subject event.SubjectID, sk subjectKey, fields map[string]cbor.RawMessage) error {
	plaintext, err := event.EncodeMap(fields)
	if err != nil {
		return err
	}
	ct := sk.encrypt(place{log, d.ID, subject, sk.id, d.Type, d.Revision}, plaintext)
	c := sk.committer(d.ID)
	b := event.Block{Subject: subject, Key: sk.id, Alg: 1, Digest: sha256.Sum256(ct), Fields: make([]event.Commitment, 0, len(fields)+len(d.Blind))}
	for path, raw := range fields {
		b.Fields = append(b.Fields, event.Commitment{Path: path, Value: c.commit(path, raw)})
	}
	for _, t := range d.Blind {
		if t.Subject == subject {
			path := TagPath(t)
			b.Fields = append(b.Fields, event.Commitment{Path: path, Value: c.commit(path, tagValue(t))})
		}
	}
	slices.SortFunc(b.Fields, func(a, b event.Commitment) int { return strings.Compare(a.Path, b.Path) })
	d.Blocks = append(d.Blocks, b)
	d.Ciphertexts = append(d.Ciphertexts, ct)
	return nil
}

// TagPath is the path under which a blind tag is committed.
func TagPath(t event.BlindTag) string { return "#tag/" + t.Name + "/" + strconv.Itoa(t.N) }

// tagValue is what is committed of a blind tag: the CBOR array [version, value].
func tagValue(t event.BlindTag) []byte {
	b, err := event.AppendValue(append(make([]byte, 0, 48), 0x82), t.Version)
	if err == nil {
		b, err = event.AppendValue(b, t.Value[:])
	}
	if err != nil {
		panic(err) // an integer and 32 bytes
	}
	return b
}

func (s *Sealer) blindTags(ctx context.Context, fields []event.BlindField) ([]event.BlindTag, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	key, err := s.blindKey(ctx)
	if err != nil {
		return nil, err
	}
	tags := make([]event.BlindTag, len(fields))
	for i, f := range fields {
		tags[i] = event.BlindTag{Subject: f.Subject, Name: f.Name, N: f.N, Version: BlindVersion, Value: blind(key, f.Name, f.Value, f.Fold)}
	}
	return tags, nil
}

// RequestDigest is the keyed hash of a request by which a repeated command is
// recognized. It is keyed because requests hold personal data: a plain hash of
// an address would tell it to whoever steals the log and guesses. A request
// must hold no password; package call leaves them out.
func (s *Sealer) RequestDigest(ctx context.Context, request []byte) (event.Hash, error) {
	k, err := s.instanceKey(ctx)
	if err != nil {
		return event.Hash{}, fault.Wrap("digest a request", err)
	}
	return mac(k.request(), request), nil
}

func (s *Sealer) blindKey(ctx context.Context) ([]byte, error) {
	k, err := s.instanceKey(ctx)
	if err != nil {
		return nil, err
	}
	return k.blind(), nil
}

func (s *Sealer) instanceKey(ctx context.Context) (*derived, error) {
	own := s.own.Load()
	if own == nil || own.subject != s.Instance {
		id, state, err := s.Assigned.AssignedKey(ctx, s.Instance)
		if err != nil {
			return nil, err
		}
		if state != event.Present {
			return nil, fault.New(fault.Unavailable, "the instance has no key yet; create it first")
		}
		own = &assignedKey{s.Instance, id}
		s.own.Store(own)
	}
	return s.derived(ctx, s.Log, own.key)
}

// BlindTerm is what finds the records that carry a personal value: the term of
// the blind tag of that name.
func (s *Sealer) BlindTerm(ctx context.Context, name, value string, fold bool) (event.Term, error) {
	key, err := s.blindKey(ctx)
	if err != nil {
		return "", fault.Wrap("look up by a personal value", err)
	}
	return event.BlindTerm(name, BlindVersion, blind(key, name, value, fold)), nil
}
