package sim

import (
	"context"
	"errors"
	"fmt"

	"muniment.dev/authz"
	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/org"
	"muniment.dev/session"
	"muniment.dev/user"
)

// act is a random command.
func (w *world) act() *command {
	switch k := w.rng.IntN(100); {
	case k < 16:
		return w.register(pick(w.rng, addresses...))
	case k < 26:
		return w.readdress()
	case k < 46:
		return w.moveUser()
	case k < 52:
		return w.setPassword()
	case k < 57:
		return w.eraseUser()
	case k < 60:
		return w.failSignIn()
	case k < 64:
		return w.changeProfile()
	}
	return w.actSession()
}

// register gives somebody an account.
func (w *world) register(email string) *command {
	id, o := w.fresh(), pick(w.rng, w.places.orgs...)
	d := user.Registering
	if w.bugs.NarrowQuery {
		d.Query = func(c user.Register) []decide.Facts {
			return append(user.Facts(c.User), decide.Facts{Types: org.Types, Stream: org.Stream(c.Organization)})
		}
	}
	hash := ""
	if w.rng.IntN(4) > 0 {
		hash = "hash-1"
	}
	c := order(w, fmt.Sprintf("register %s as %s", short(id), email), need{right: authz.ManageUsers, org: o}, d,
		user.Register{User: id, Organization: o, Email: email, Names: user.Names{Given: "Canary " + short(id)}, Hash: hash})
	c.about = []event.ID{id}
	c.plausible = because(map[error]func(a, b event.Position) bool{
		user.ErrEmailTaken: w.taken(email, id),
		org.ErrInactive:    is(func() *timeline[bool] { return w.model.orgs[o] }, false),
	})
	c.twin = func() *command { return w.register(email) }
	return c
}

// taken reports whether somebody else had an address.
func (w *world) taken(email string, self event.ID) func(a, b event.Position) bool {
	return func(a, b event.Position) bool {
		return w.model.owner[normal(email)].ever(a, b, func(id event.ID) bool { return !id.IsZero() && id != self })
	}
}

// status is the timeline of a user's status; that of nobody is "".
func (w *world) status(id event.ID) func() *timeline[user.Status] {
	return func() *timeline[user.Status] {
		if u := w.model.people[id]; u != nil {
			return &u.status
		}
		return nil
	}
}

// absent are the reasons that any command about a user may be refused for.
func (w *world) absent(id event.ID, more map[error]func(a, b event.Position) bool) func(error, event.Position, event.Position) bool {
	more[user.ErrNotFound] = is(w.status(id), "")
	more[user.ErrErased] = is(w.status(id), user.IsErased)
	return because(more)
}

func (w *world) readdress() *command {
	id, email := w.someone(), pick(w.rng, addresses...)
	d := user.ChangingEmail
	if w.bugs.NarrowQuery {
		d.Query = func(c user.ChangeEmail) []decide.Facts { return user.Facts(c.User) }
	}
	c := order(w, fmt.Sprintf("change the address of %s to %s", short(id), email), w.manages(id), d, user.ChangeEmail{User: id, Email: email})
	c.about = []event.ID{id}
	c.plausible = w.absent(id, map[error]func(a, b event.Position) bool{user.ErrEmailTaken: w.taken(email, id)})
	return c
}

func (w *world) manages(id event.ID) need {
	return need{right: authz.ManageUsers, org: w.orgOf(id), over: id}
}

// moveUser locks, unlocks, deactivates or reactivates.
func (w *world) moveUser() *command {
	id := w.someone()
	n := w.manages(id)
	n.other = id
	not := func(s user.Status) func(a, b event.Position) bool {
		return func(a, b event.Position) bool {
			return w.status(id)().ever(a, b, func(x user.Status) bool { return x != s })
		}
	}
	reasons := map[error]func(a, b event.Position) bool{
		user.ErrLocked: is(w.status(id), user.IsLocked), user.ErrNotLocked: not(user.IsLocked),
		user.ErrDeactivated: is(w.status(id), user.IsDeactivated), user.ErrNotDeactivated: not(user.IsDeactivated),
	}
	var c *command
	switch w.rng.IntN(6) {
	case 0, 1:
		c = order(w, "lock "+short(id), n, user.Locking, user.Lock{User: id})
	case 2, 3:
		c = order(w, "unlock "+short(id), n, user.Unlocking, user.Unlock{User: id})
	case 4:
		c = order(w, "deactivate "+short(id), n, user.Deactivating, user.Deactivate{User: id})
	default:
		c = order(w, "reactivate "+short(id), n, user.Reactivating, user.Reactivate{User: id})
	}
	c.about = []event.ID{id}
	c.plausible = w.absent(id, reasons)
	return c
}

func (w *world) setPassword() *command {
	id := w.someone()
	hash := fmt.Sprintf("hash-%d", w.rng.IntN(3))
	c := order(w, "set the password of "+short(id), w.manages(id), user.SettingPassword, user.SetPassword{User: id, Hash: hash})
	c.about = []event.ID{id}
	c.plausible = w.absent(id, map[error]func(a, b event.Position) bool{})
	return c
}

func (w *world) changeProfile() *command {
	id, name := w.someone(), fmt.Sprintf("Canary %d", w.rng.IntN(3))
	n := w.manages(id)
	n.self = id
	c := order(w, "rename "+short(id), n, user.ChangingProfile, user.ChangeProfile{User: id, Given: &name})
	c.env.Request = fmt.Appendf(nil, "rename %s to %s", short(id), name)
	c.about = []event.ID{id}
	c.plausible = w.absent(id, map[error]func(a, b event.Position) bool{})
	return c
}

// eraseUser names the key that the person's data is sealed under, as the log
// knows it.
func (w *world) eraseUser() *command {
	id := w.someone()
	n := w.manages(id)
	n.other = id
	c := order(w, "erase "+short(id), n, user.Erasing, user.Erase{User: id})
	c.about = []event.ID{id}
	c.run = func(ctx context.Context, n *node, env decide.Envelope) (res decide.Result, err error) {
		for range 8 {
			var keys []event.KeyID
			key, state, err := n.log.AssignedKey(ctx, event.SubjectID{ID: id})
			if err != nil {
				return res, err
			}
			if state == event.Present {
				keys = append(keys, key)
			}
			res, err = decide.Run(ctx, n.runner, user.Erasing, env, user.Erase{User: id, Keys: keys})
			if !errors.Is(err, eventlog.ErrKeyUnnamed) {
				return res, err
			}
		}
		return res, err
	}
	c.plausible = w.absent(id, map[error]func(a, b event.Position) bool{})
	return c
}

// failSignIn rests on no facts: only the log itself keeps it from sealing the
// address of a person who is erased meanwhile.
func (w *world) failSignIn() *command {
	id := w.someone()
	if erased := w.erased(); len(erased) > 0 && w.rng.IntN(2) == 0 {
		id = pick(w.rng, erased...)
	}
	c := order(w, "fail to sign in as "+short(id), need{}, session.Failing,
		session.Fail{Attempt: w.fresh(), Visitor: w.places.visitor, Login: "canary", Reason: session.WrongPassword, User: id, Organization: w.orgOf(id)})
	c.env.Actor = event.Actor{Kind: "visitor", ID: w.places.visitor}
	c.env.Context.Subject, c.env.Context.Sealed = event.SubjectID{ID: id}, map[string]string{"address": "192.0.2.7"}
	c.about = []event.ID{id}
	c.plausible = because(nil)
	return c
}
