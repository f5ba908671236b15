package instance

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
)

// SigningKeyCreated says that a key is published from now on, so that whoever
// verifies tokens knows it before it signs any.
type SigningKeyCreated struct {
	Instance  event.ID             `event:"instance,public,subject"`
	Key       string               `event:"key,public"`         // JWK thumbprint (RFC 7638)
	Algorithm string               `event:"algorithm,public"`   // JWS "alg"
	Public    []byte               `event:"public_key,public"`  // PKIX, ASN.1 DER
	Private   event.Sealed[[]byte] `event:"private_key,secret"` // PKCS #8, ASN.1 DER
	At        event.Instant        `event:"at,public"`
}

// SigningKeyActivated says that tokens are signed with a key from now on.
type SigningKeyActivated struct {
	Instance  event.ID      `event:"instance,public"`
	Key       string        `event:"key,public"`
	Algorithm string        `event:"algorithm,public"`
	At        event.Instant `event:"at,public"`
}

// SigningKeyRetired says that a key signs nothing any more. What it signed is
// verified with it until the last of it has expired.
type SigningKeyRetired struct {
	Instance  event.ID      `event:"instance,public"`
	Key       string        `event:"key,public"`
	Algorithm string        `event:"algorithm,public"`
	Until     event.Instant `event:"until,public"`
}

// SigningKeyRemoved says that a key is published no more: whatever it signed is
// no token of this instance from now on.
type SigningKeyRemoved struct {
	Instance  event.ID `event:"instance,public"`
	Key       string   `event:"key,public"`
	Algorithm string   `event:"algorithm,public"`
}

// KeyStatus is where a key stands on its way.
type KeyStatus string

// The statuses, in the order in which a key goes through them.
const (
	Next    KeyStatus = "next"    // published, and does not sign yet
	Current KeyStatus = "current" // signs
	Retired KeyStatus = "retired" // verifies only
)

// SigningKey is a key by which tokens can be verified.
type SigningKey struct {
	SigningKeyCreated
	Status    KeyStatus
	Activated event.Instant // zero before
	Until     event.Instant // of a retired one
}

// evolveKeys folds one fact about keys.
func evolveKeys(keys []SigningKey, f event.Fact) []SigningKey {
	change := func(key string, to func(*SigningKey)) []SigningKey {
		keys = slices.Clone(keys)
		for i := range keys {
			if keys[i].Key == key {
				to(&keys[i])
			}
		}
		return keys
	}
	switch p := f.Payload.(type) {
	case SigningKeyCreated:
		return append(slices.Clip(keys), SigningKey{SigningKeyCreated: p, Status: Next})
	case SigningKeyActivated:
		return change(p.Key, func(k *SigningKey) { k.Status, k.Activated = Current, p.At })
	case SigningKeyRetired:
		return change(p.Key, func(k *SigningKey) { k.Status, k.Until = Retired, p.Until })
	case SigningKeyRemoved:
		return slices.DeleteFunc(slices.Clone(keys), func(k SigningKey) bool { return k.Key == p.Key })
	}
	return keys
}

// Key returns the key that signs with an algorithm; false if there is none.
func (s State) Key(algorithm string) (SigningKey, bool) { return s.key(algorithm, Current) }

func (s State) key(algorithm string, status KeyStatus) (SigningKey, bool) {
	i := slices.IndexFunc(s.Keys, func(k SigningKey) bool { return k.Algorithm == algorithm && k.Status == status })
	if i < 0 {
		return SigningKey{}, false
	}
	return s.Keys[i], true
}

// Algorithms are those that there are keys for.
func (s State) Algorithms() []string {
	var out []string
	for _, k := range s.Keys {
		if !slices.Contains(out, k.Algorithm) {
			out = append(out, k.Algorithm)
		}
	}
	slices.Sort(out)
	return out
}

// NewKey is a key that was made.
type NewKey struct {
	Key, Algorithm  string
	Public, Private []byte
}

// Rotate takes the steps that are due.
type Rotate struct {
	Instance   event.ID
	Algorithms []string
	Fresh      []NewKey // keys to be used where one is wanted; see State.Wants
	// At once: the next key signs from now on, whether it is time or not.
	AtOnce bool
	// Distrust, with AtOnce: the keys before are removed and not retired,
	// because somebody else may have them.
	Distrust bool
	// Since: keys made before are replaced at once. The log began a new
	// generation then, and what was signed in records that it lost is not known.
	Since event.Instant
	Now   event.Instant
}

// Wants returns the algorithms for which the steps need a key that is not there.
func (s State) Wants(c Rotate) []string {
	return slices.DeleteFunc(slices.Clone(c.Algorithms), func(alg string) bool {
		current, signs := s.Key(alg)
		next, announced := s.key(alg, Next)
		announced = announced && next.At >= c.Since
		return announced || signs && !c.AtOnce && current.At >= c.Since && c.Now < current.Activated+s.KeySchedule().every()-s.KeySchedule().announce()
	})
}

// Rotating decides Rotate. Whoever comes second finds that nothing is due, but
// for AtOnce, which people give.
var Rotating = decide.Decider[State, Rotate]{
	Name:   "rotate signing keys",
	Query:  func(c Rotate) []decide.Facts { return Facts(c.Instance) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c Rotate) error {
		if !c.AtOnce {
			return system(a, struct{}{}, struct{}{})
		}
		return a.Need(authz.ManageInstance, authz.Instance)
	},
	Decide: func(s State, c Rotate) ([]event.New, error) {
		var out []event.New
		for _, alg := range c.Algorithms {
			for _, p := range s.steps(alg, c) {
				out = append(out, event.New{Stream: Stream(c.Instance), Payload: p})
			}
		}
		return out, nil
	},
}

// steps are those of one algorithm.
func (s State) steps(alg string, c Rotate) []any {
	out := s.gone(alg, c)
	current, signs := s.Key(alg)
	next, announced := s.key(alg, Next)
	if announced && next.At < c.Since {
		announced, out = false, append(out, SigningKeyRemoved{c.Instance, next.Key, alg})
	}
	if !announced && slices.Contains(s.Wants(c), alg) {
		i := slices.IndexFunc(c.Fresh, func(k NewKey) bool { return k.Algorithm == alg })
		if i < 0 {
			return out
		}
		k := c.Fresh[i]
		next.SigningKeyCreated = SigningKeyCreated{c.Instance, k.Key, alg, k.Public, event.Seal(k.Private), c.Now}
		announced, out = true, append(out, next.SigningKeyCreated)
	}
	sch := s.KeySchedule()
	due := c.AtOnce || !signs || current.At < c.Since || c.Now >= current.Activated+sch.every() && c.Now >= next.At+sch.announce()
	if !announced || !due {
		return out
	}
	out = append(out, SigningKeyActivated{c.Instance, next.Key, alg, c.Now})
	switch {
	case !signs:
	case c.AtOnce && c.Distrust:
		out = append(out, SigningKeyRemoved{c.Instance, current.Key, alg})
	default:
		out = append(out, SigningKeyRetired{c.Instance, current.Key, alg, c.Now + sch.remain()})
	}
	return out
}

// gone removes retired keys whose time is over.
func (s State) gone(alg string, c Rotate) (out []any) {
	for _, k := range s.Keys {
		if k.Algorithm == alg && k.Status == Retired && (c.Now >= k.Until || c.AtOnce && c.Distrust) {
			out = append(out, SigningKeyRemoved{c.Instance, k.Key, alg})
		}
	}
	return out
}
