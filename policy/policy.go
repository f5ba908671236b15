// Package policy holds what an instance, and each organization in it, demands
// of passwords, of sign-ins that fail, of sessions and of tokens.
//
// Each of the four kinds has one value at a time: the organization's own, if it
// has one, else the instance's, else what Muniment comes with. An event says
// the whole value, never a difference. Whoever decides something by a policy
// has its facts among their own, so that a policy holds from the record after
// its change.
package policy

import (
	"slices"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
)

// Kind is what a policy is about.
type Kind string

// The kinds.
const (
	OfPasswords Kind = "password"
	OfLockout   Kind = "lockout"
	OfSessions  Kind = "session"
	OfTokens    Kind = "token"
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{OfPasswords, OfLockout, OfSessions, OfTokens} }

// Types are the event types of a kind.
func (k Kind) Types() []string {
	return []string{"policy." + string(k) + ".changed", "policy." + string(k) + ".reset"}
}

// Events are the types that this slice owns.
func Events() []event.Descriptor {
	return []event.Descriptor{
		event.Describe[PasswordChanged]("policy.password.changed", 1, "{actor} changed what passwords must be like"),
		event.Describe[PasswordReset]("policy.password.reset", 1, "{actor} took back what passwords must be like"),
		event.Describe[LockoutChanged]("policy.lockout.changed", 1, "{actor} changed when an account is locked out"),
		event.Describe[LockoutReset]("policy.lockout.reset", 1, "{actor} took back when an account is locked out"),
		event.Describe[SessionChanged]("policy.session.changed", 1, "{actor} changed how long sessions last"),
		event.Describe[SessionReset]("policy.session.reset", 1, "{actor} took back how long sessions last"),
		event.Describe[TokenChanged]("policy.token.changed", 1, "{actor} changed how long tokens last"),
		event.Describe[TokenReset]("policy.token.reset", 1, "{actor} took back how long tokens last"),
	}
}

// Stream is the stream of the policies of an organization; of the instance if
// it is zero.
func Stream(organization event.ID) event.Stream {
	return event.Stream{Kind: "policy", ID: organization}
}

// Source says whose value holds.
type Source string

// The sources.
const (
	BuiltIn      Source = "built-in"
	FromInstance Source = "instance"
	FromOwn      Source = "organization"
)

// set is the policies that one stream has set; nil where it has none.
type set struct {
	password *Password
	lockout  *Lockout
	session  *Session
	token    *Token
}

func (s set) evolve(payload any) set {
	switch p := payload.(type) {
	case PasswordChanged:
		v := p.value()
		s.password = &v
	case PasswordReset:
		s.password = nil
	case LockoutChanged:
		v := p.value()
		s.lockout = &v
	case LockoutReset:
		s.lockout = nil
	case SessionChanged:
		v := p.value()
		s.session = &v
	case SessionReset:
		s.session = nil
	case TokenChanged:
		v := p.value()
		s.token = &v
	case TokenReset:
		s.token = nil
	}
	return s
}

// State is the policies that hold in an organization, as far as a query asked
// for them.
type State struct {
	instance, own set
	org           org.State
}

// Evolve folds one fact of Facts; others change nothing.
func Evolve(s State, f event.Fact) State {
	switch {
	case f.Stream.Kind != "policy":
		s.org = org.Evolve(s.org, f)
	case f.Stream.ID.IsZero():
		s.instance = s.instance.evolve(f.Payload)
	default:
		s.own = s.own.evolve(f.Payload)
	}
	return s
}

// Facts are the facts of policies of some kinds in an organization; of the
// instance alone if it is zero.
func Facts(organization event.ID, kinds ...Kind) []decide.Facts {
	var types []string
	for _, k := range kinds {
		types = append(types, k.Types()...)
	}
	facts := []decide.Facts{{Types: types, Stream: Stream(event.ID{})}}
	if !organization.IsZero() {
		facts = append(facts, decide.Facts{Types: types, Stream: Stream(organization)})
	}
	return facts
}

func holds[V any](own, instance *V, builtIn V) (V, Source) {
	switch {
	case own != nil:
		return *own, FromOwn
	case instance != nil:
		return *instance, FromInstance
	}
	return builtIn, BuiltIn
}

// Password is what is demanded of passwords, and who says so.
func (s State) Password() (Password, Source) {
	return holds(s.own.password, s.instance.password, DefaultPassword())
}

// Lockout is when an account is locked out, and who says so.
func (s State) Lockout() (Lockout, Source) {
	return holds(s.own.lockout, s.instance.lockout, DefaultLockout())
}

// Session is how long sessions last, and who says so.
func (s State) Session() (Session, Source) {
	return holds(s.own.session, s.instance.session, DefaultSession())
}

// Token is how long tokens last, and who says so.
func (s State) Token() (Token, Source) {
	return holds(s.own.token, s.instance.token, DefaultToken())
}

// Risk is what follows from a value that weakens security or gets in people's
// way. It has to be acknowledged by its name.
type Risk struct{ Name, Why string }

// unacknowledged is the refusal of a value whose risks were not all named.
func unacknowledged(risks []Risk, acknowledged []string) error {
	for _, r := range risks {
		if !slices.Contains(acknowledged, r.Name) {
			return &fault.Error{Kind: fault.Refused, Field: "acknowledge", Msg: r.Why + `; if that is meant, acknowledge "` + r.Name + `"`}
		}
	}
	return nil
}

// value is a policy of some kind.
type value[V any] interface {
	comparable
	// check refuses what no policy may say, naming the field.
	check() error
	// risks lists what has to be acknowledged.
	risks() []Risk
	// laxer reports whether it demands less than another in anything.
	laxer(than V) bool
	changed(organization event.ID) any
}

// Change sets a policy.
type Change[V any] struct {
	Organization event.ID // zero: the instance's own
	Policy       V
	Acknowledge  []string // names of risks
}

// The deciders of changes.
var (
	ChangingPassword = changing(OfPasswords, "change the password policy", func(s State) (Password, Source) { return s.Password() })
	ChangingLockout  = changing(OfLockout, "change the lockout policy", func(s State) (Lockout, Source) { return s.Lockout() })
	ChangingSession  = changing(OfSessions, "change the session policy", func(s State) (Session, Source) { return s.Session() })
	ChangingToken    = changing(OfTokens, "change the token policy", func(s State) (Token, Source) { return s.Token() })
)

// changing makes the decider of a kind. An organization's own administrators
// may demand more than the instance does; to demand less is for those who
// administer the instance.
func changing[V value[V]](kind Kind, name string, of func(State) (V, Source)) decide.Decider[State, Change[V]] {
	return decide.Decider[State, Change[V]]{
		Name:   name,
		Query:  func(c Change[V]) []decide.Facts { return facts(c.Organization, kind) },
		Evolve: Evolve,
		Allow: func(a authz.Authority, s State, c Change[V]) error {
			if err := a.Need(authz.ManageInstance, authz.Of(c.Organization)); err != nil {
				return err
			}
			instances, _ := of(State{instance: s.instance})
			if c.Policy.laxer(instances) && !a.May(authz.ManageInstance, authz.Instance) {
				return authz.DeniedIn(c.Organization, "demand less than the instance does: manage the instance")
			}
			return nil
		},
		Decide: func(s State, c Change[V]) ([]event.New, error) {
			if err := s.usable(c.Organization); err != nil {
				return nil, err
			}
			if err := c.Policy.check(); err != nil {
				return nil, err
			}
			if now, source := of(s); now == c.Policy && source == scope(c.Organization) {
				return nil, nil
			}
			if err := unacknowledged(c.Policy.risks(), c.Acknowledge); err != nil {
				return nil, err
			}
			return one(c.Organization, c.Policy.changed(c.Organization)), nil
		},
	}
}

// Reset takes a policy back: what holds then is the instance's value, or, for
// the instance itself, what Muniment comes with.
type Reset struct {
	Organization event.ID // zero: the instance's own
	Kind         Kind
}

// ErrNotSet refuses to take back what was not set.
var ErrNotSet = fault.New(fault.Refused, "nothing is set here that could be taken back")

// Resetting decides Reset.
var Resetting = decide.Decider[State, Reset]{
	Name:   "take a policy back",
	Query:  func(c Reset) []decide.Facts { return facts(c.Organization, c.Kind) },
	Evolve: Evolve,
	Allow: func(a authz.Authority, _ State, c Reset) error {
		return a.Need(authz.ManageInstance, authz.Of(c.Organization))
	},
	Decide: func(s State, c Reset) ([]event.New, error) {
		if err := s.usable(c.Organization); err != nil {
			return nil, err
		}
		here := s.own
		if c.Organization.IsZero() {
			here = s.instance
		}
		isSet, payload := here.reset(c)
		switch {
		case payload == nil:
			return nil, fault.Field("kind", "must be password, lockout, session or token")
		case !isSet:
			return nil, ErrNotSet
		}
		return one(c.Organization, payload), nil
	},
}

// reset reports whether a policy is set, and the event that takes it back.
func (s set) reset(c Reset) (isSet bool, payload any) {
	switch c.Kind {
	case OfPasswords:
		return s.password != nil, PasswordReset{c.Organization}
	case OfLockout:
		return s.lockout != nil, LockoutReset{c.Organization}
	case OfSessions:
		return s.session != nil, SessionReset{c.Organization}
	case OfTokens:
		return s.token != nil, TokenReset{c.Organization}
	}
	return false, nil
}

func facts(organization event.ID, kind Kind) []decide.Facts {
	all := Facts(organization, kind)
	if !organization.IsZero() {
		all = append(all, decide.Facts{Types: org.Types, Stream: org.Stream(organization)})
	}
	return all
}

func (s State) usable(organization event.ID) error {
	if organization.IsZero() {
		return nil
	}
	return s.org.Usable()
}

func scope(organization event.ID) Source {
	if organization.IsZero() {
		return FromInstance
	}
	return FromOwn
}

func one(organization event.ID, payload any) []event.New {
	return []event.New{{Stream: Stream(organization), Payload: payload}}
}

// within refuses a number outside of its bounds.
func within(field string, n, least, most int64) error {
	if n < least || n > most {
		return fault.Field(field, "must be from %d to %d", least, most)
	}
	return nil
}

// orNone is within, or 0, which means none.
func orNone(field string, n, least, most int64) error {
	if n != 0 && (n < least || n > most) {
		return fault.Field(field, "must be 0 for none, or from %d to %d", least, most)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
