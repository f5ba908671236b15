package sim

import (
	"maps"
	"slices"

	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/org"
	"muniment.dev/project"
)

// changePlace takes an organization, a project or an application away or out of
// use, or brings it back; or adds or removes a role. What is gone comes back
// soon, since little can happen without it.
func (w *world) changePlace() *command {
	if gone := w.gone(); len(gone) > 0 && w.rng.IntN(2) == 0 {
		return w.bringBack(pick(w.rng, gone...))
	}
	o, proj, a, key := pick(w.rng, w.places.orgs...), pick(w.rng, w.places.projects...), pick(w.rng, w.places.apps...), pick(w.rng, roleKeys...)
	switch w.rng.IntN(11) {
	case 0:
		return order(w, "deactivate organization "+short(o), org.Deactivating, org.Deactivate{Organization: o})
	case 1, 2:
		return order(w, "reactivate organization "+short(o), org.Reactivating, org.Reactivate{Organization: o})
	case 3, 4:
		cmd := org.Remove{Organization: o, Acknowledge: []string{org.LockPeopleOut, org.EndProjects}}
		if w.rng.IntN(4) == 0 {
			cmd.Acknowledge = cmd.Acknowledge[:1]
		}
		return order(w, "remove organization "+short(o), org.Removing, cmd)
	case 5, 6:
		return order(w, "remove project "+short(proj), project.Removing, project.Remove{Project: proj})
	case 7:
		return order(w, "remove application "+short(a), app.Removing, app.Remove{Application: a})
	case 8:
		return w.bringBack(pick(w.rng, o, proj, a))
	case 9:
		return order(w, "remove role "+key, project.RemovingRole, project.RemoveRole{Project: proj, Key: key})
	}
	return order(w, "add role "+key, project.AddingRole, project.AddRole{Project: proj, Key: key, Name: key})
}

// gone lists what is removed, by id.
func (w *world) gone() (ids []event.ID) {
	for _, things := range []map[event.ID]*thing{w.model.orgs, w.model.projects, w.model.apps} {
		for _, id := range slices.SortedFunc(maps.Keys(things), compareIDs) {
			if things[id].gone.now() {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (w *world) bringBack(id event.ID) *command {
	switch {
	case w.model.orgs[id] != nil:
		return order(w, "restore organization "+short(id), org.Restoring, org.Restore{Organization: id})
	case w.model.projects[id] != nil:
		return order(w, "restore project "+short(id), project.Restoring, project.Restore{Project: id})
	}
	return order(w, "restore application "+short(id), app.Restoring, app.Restore{Application: id})
}
