package sim

import (
	"fmt"
	"maps"
	"slices"

	"muniment.dev/event"
	"muniment.dev/instance"
	"muniment.dev/session"
	"muniment.dev/user"
)

// rotate takes the steps of the signing keys that are due, or more. They take
// months; so their time is not the machine's, but runs ahead of it.
func (w *world) rotate() *command {
	if w.rng.IntN(8) == 0 {
		sch := instance.DefaultSchedule()
		sch.Every = pick(w.rng, 30*day, 90*day)
		sch.Announce = pick(w.rng, 2*day, 7*day)
		return order(w, fmt.Sprintf("have keys sign for %d days", sch.Every/day), instance.ChangingKeySchedule, instance.ChangeKeySchedule{Instance: w.instance.ID, Schedule: sch})
	}
	w.season += event.Instant(pick[int64](w.rng, 0, 0, 1, 8, 45)*day) * seconds
	cmd := instance.Rotate{Instance: w.instance.ID, Algorithms: []string{keyAlgorithm}, Now: w.instant() + w.season}
	name := w.fresh().String()[:8]
	cmd.Fresh = []instance.NewKey{{Key: name, Algorithm: keyAlgorithm, Public: []byte("public"), Private: []byte("private")}}
	actor := event.System
	if w.rng.IntN(4) == 0 {
		w.model.atOnce[cmd.Now] = true
		cmd.AtOnce, cmd.Distrust, actor = true, w.rng.IntN(3) == 0, someUser(pick(w.rng, w.places.root, w.someone()))
	}
	c := order(w, fmt.Sprintf("rotate signing keys, with %s, at once %v", name, cmd.AtOnce), instance.Rotating, cmd)
	c.twin = w.rotate
	return c.as(w, actor)
}

// day is one in seconds.
const day int64 = 24 * 3600

// guess gives a wrong password for somebody, or ends a lockout.
func (w *world) guess() *command {
	id, now := w.someone(), w.instant()
	if out := w.shutOut(); len(out) > 0 && w.rng.IntN(4) == 0 || w.rng.IntN(20) == 0 {
		id = pick(w.rng, append(out, id)...)
		c := order(w, "end the lockout of "+short(id), user.EndingLockout, user.EndLockout{User: id, Now: now})
		c.about = []event.ID{id}
		return c
	}
	if len(w.guessed) > 0 && w.rng.IntN(4) > 0 { // so that it comes to something
		id = w.guessed[w.rng.IntN(len(w.guessed))]
	} else {
		w.guessed = append(w.guessed, id)
	}
	return w.guessOf(id, w.rng.IntN(3) == 0)
}

// shutOut lists who was locked out, and not freed since, by id.
func (w *world) shutOut() (ids []event.ID) {
	for _, id := range slices.SortedFunc(maps.Keys(w.model.people), compareIDs) {
		if u := w.model.people[id]; len(u.shut) > 0 && !isErased(u.status.now()) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *world) guessOf(id event.ID, known bool) *command {
	attempt, now := w.fresh(), w.instant()
	w.model.tried[attempt] = now
	c := order(w, fmt.Sprintf("give a wrong password for %s, known address %v", short(id), known), session.Failing,
		session.Fail{Attempt: attempt, Visitor: w.places.visitor, Login: "canary", Reason: session.WrongPassword, User: id, Organization: w.orgOf(id), Known: known, Now: now})
	c.about, c.twin = []event.ID{id}, func() *command { return w.guessOf(id, known) }
	return c.as(w, event.Actor{Kind: "visitor", ID: w.places.visitor})
}
