package sim

import (
	"context"
	"errors"
	"fmt"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/org"
	"muniment.dev/session"
	"muniment.dev/user"
)

// act is a random command.
func (w *world) act() *command {
	if w.plan.customers && w.rng.IntN(3) > 0 {
		return w.actOfCustomers()
	}
	if w.plan.theme != anything && w.rng.IntN(2) == 0 {
		return w.actOf(w.plan.theme)
	}
	switch k := w.rng.IntN(100); {
	case k < 15:
		return w.register(pick(w.rng, addresses...))
	case k < 24:
		return w.readdress()
	case k < 33:
		return w.moveUser()
	case k < 36:
		return w.setPassword()
	case k < 42:
		return w.eraseUser()
	case k < 45:
		return w.failSignIn()
	case k < 51:
		return w.guess()
	case k < 55:
		return w.rotate()
	case k < 57:
		return w.changeProfile()
	}
	return w.actSession()
}

// actOf is a random command of a theme.
func (w *world) actOf(t theme) *command {
	if t == ofTokens {
		if x := w.refreshable(); x != nil && w.rng.IntN(2) == 0 {
			return w.useCode(x)
		}
		return w.actSession()
	}
	switch w.rng.IntN(4) {
	case 0:
		return w.guess()
	case 1:
		return w.rotate()
	}
	return w.changePlace()
}

// register gives somebody an account.
func (w *world) register(email string) *command {
	id, o := w.fresh(), pick(w.rng, w.places.orgs...)
	cmd := user.Register{User: id, Organization: o, Email: email, Names: user.Names{Given: "Canary " + short(id)}}
	if w.rng.IntN(4) > 0 {
		cmd.Hash = "hash-1"
	}
	c := order(w, fmt.Sprintf("register %s as %s", short(id), email), user.Registering, cmd)
	if w.bugs.NarrowQuery {
		c.run = narrow(user.Registering, cmd, func(c user.Register) []decide.Facts {
			return append(user.Facts(c.User), decide.Facts{Types: org.Types, Stream: org.Stream(c.Organization)})
		})
	}
	c.about = []event.ID{id}
	c.twin = func() *command { return w.register(email) }
	return c
}

// narrow runs a command on other facts than it should rest on.
func narrow[S, C any](d decide.Decider[S, C], cmd C, q func(C) []decide.Facts) func(context.Context, *node, decide.Envelope) (decide.Result, error) {
	d.Query = q
	return func(ctx context.Context, n *node, env decide.Envelope) (decide.Result, error) {
		return decide.Run(ctx, n.runner, d, env, cmd)
	}
}

func (w *world) readdress() *command {
	id, email := w.someone(), pick(w.rng, addresses...)
	cmd := user.ChangeEmail{User: id, Email: email}
	c := order(w, fmt.Sprintf("change the address of %s to %s", short(id), email), user.ChangingEmail, cmd)
	if w.bugs.NarrowQuery {
		c.run = narrow(user.ChangingEmail, cmd, func(c user.ChangeEmail) []decide.Facts { return user.Facts(c.User) })
	}
	c.about = []event.ID{id}
	return c
}

// moveUser locks, unlocks, deactivates or reactivates.
func (w *world) moveUser() *command {
	id := w.someone()
	var c *command
	switch w.rng.IntN(6) {
	case 0, 1:
		c = order(w, "lock "+short(id), user.Locking, user.Lock{User: id})
	case 2, 3:
		c = order(w, "unlock "+short(id), user.Unlocking, user.Unlock{User: id})
	case 4:
		c = order(w, "deactivate "+short(id), user.Deactivating, user.Deactivate{User: id})
	default:
		c = order(w, "reactivate "+short(id), user.Reactivating, user.Reactivate{User: id})
	}
	c.about = []event.ID{id}
	return c
}

func (w *world) setPassword() *command {
	id := w.someone()
	c := order(w, "set the password of "+short(id), user.SettingPassword, user.SetPassword{User: id, Organization: w.orgOf(id), Chosen: chosen(w.rng.IntN(3))})
	c.about = []event.ID{id}
	return c
}

func (w *world) changeProfile() *command {
	id, name := w.someone(), fmt.Sprintf("Canary %d", w.rng.IntN(3))
	c := order(w, "rename "+short(id), user.ChangingProfile, user.ChangeProfile{User: id, Given: &name})
	c.env.Request = fmt.Appendf(nil, "rename %s to %s", short(id), name) // without the pointer
	c.about = []event.ID{id}
	return c
}

// eraseUser names the key that the person's data is sealed under, as the log
// knows it.
func (w *world) eraseUser() *command {
	id := w.someone()
	c := order(w, "erase "+short(id), user.Erasing, user.Erase{User: id})
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
	return c
}

// chosen is one of few passwords.
func chosen(i int) user.Chosen {
	return user.Chosen{Hash: fmt.Sprintf("hash-%d", i), Plain: user.Plain(fmt.Sprintf("one of few, %d", i))}
}

// failSignIn, with a reason that counts towards no lockout, rests on no facts:
// only the log itself keeps it from sealing the
// address of a person who is erased meanwhile.
func (w *world) failSignIn() *command {
	id := w.someone()
	if erased := w.erased(); len(erased) > 0 && w.rng.IntN(2) == 0 {
		id = pick(w.rng, erased...)
	}
	c := order(w, "fail to sign in as "+short(id), session.Failing,
		session.Fail{Attempt: w.fresh(), Visitor: w.places.visitor, Login: "canary", Reason: session.Throttled, User: id, Organization: w.orgOf(id)})
	c.env.Actor = event.Actor{Kind: "visitor", ID: w.places.visitor}
	c.env.Context.Subject, c.env.Context.Sealed = event.SubjectID{ID: id}, map[string]string{"address": "192.0.2.7"}
	c.about = []event.ID{id}
	return c
}
