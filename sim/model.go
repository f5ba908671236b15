package sim

import (
	"fmt"
	"slices"
	"strings"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/grant"
	"muniment.dev/instance"
	"muniment.dev/session"
	"muniment.dev/user"
)

// model is what the log says, worked out without the slices' own folds, with
// all of its past. Each record must be possible where it stands: that is what
// conditions are for.
type model struct {
	people    map[event.ID]*person
	owner     map[string]*timeline[event.ID] // who has a normalized e-mail address
	orgs      map[event.ID]*thing
	members   map[event.ID]*timeline[[]membership]
	projects  map[event.ID]*thing                 // in an organization
	offered   map[event.ID]*timeline[[]string]    // roles that a project has
	held      map[[2]event.ID]*timeline[[]string] // roles of a user in a project
	unused    map[[2]event.ID]bool                // those of them that are deactivated
	apps      map[event.ID]*thing                 // in a project
	sessions  map[event.ID]*sitting
	codes     map[event.ID]*code
	consents  map[[2]event.ID]*consent       // of a user to an application
	keys      timeline[[]signingKey]         // that are published
	schedule  instance.Schedule              // of them
	tried     map[event.ID]event.Instant     // when an attempt to sign in failed, by its own clock
	asks      map[event.ID]bool              // authorizations that need the person's consent
	atOnce    map[event.Instant]bool         // steps of keys that need not be due, by their time
	spends    map[event.ID]int64             // the refresh token that a token was asked for with, by the token
	buses     map[event.ID]*vehicle          // entities of customers
	plates    map[string]*timeline[event.ID] // who has a unique value of theirs
	epoch     event.Position                 // of their definitions
	publisher event.ID                       // who may publish
	full      bool                           // the last wrong password was one too many
}

// person is one user.
type person struct {
	id, org event.ID
	status  timeline[user.Status]
	locked  bool // under a deactivation
	email   timeline[string]
	hash    timeline[string]
	done    event.Position           // where the erasure was reported as complete
	guesses map[bool][]event.Instant // wrong passwords that count, from known addresses and others
	shut    map[bool]event.Instant   // until when no password is accepted
}

type membership struct {
	id, org event.ID
	role    authz.Role
}

// sitting is one session.
type sitting struct {
	session.Begun
	over    timeline[bool]
	expires timeline[event.Instant]
}

func newModel() *model {
	return &model{
		people: map[event.ID]*person{}, owner: map[string]*timeline[event.ID]{}, orgs: map[event.ID]*thing{},
		members: map[event.ID]*timeline[[]membership]{}, projects: map[event.ID]*thing{}, offered: map[event.ID]*timeline[[]string]{},
		held: map[[2]event.ID]*timeline[[]string]{}, unused: map[[2]event.ID]bool{}, apps: map[event.ID]*thing{},
		buses: map[event.ID]*vehicle{}, plates: map[string]*timeline[event.ID]{}, sessions: map[event.ID]*sitting{}, codes: map[event.ID]*code{}, consents: map[[2]event.ID]*consent{},
		schedule: instance.DefaultSchedule(), tried: map[event.ID]event.Instant{}, asks: map[event.ID]bool{}, spends: map[event.ID]int64{}, atOnce: map[event.Instant]bool{},
	}
}

// normal is how the model compares addresses: those of the simulation are ASCII.
func normal(email string) string { return strings.ToLower(email) }

// follow takes in the records of one command, in order.
func (m *model) follow(facts []event.Fact) error {
	first := facts[0]
	if err := m.authorized(first); err != nil {
		return fmt.Errorf("record %d, %s by %s: %w", first.Position, first.Type, actor(first.Actor), err)
	}
	for _, f := range facts {
		if err := m.evolve(f); err != nil {
			return fmt.Errorf("record %d, %s of %s: %w", f.Position, f.Type, short(f.Stream.ID), err)
		}
	}
	if err := m.together(facts); err != nil {
		return fmt.Errorf("record %d, %s of %s, and what was recorded with it: %w", first.Position, first.Type, short(first.Stream.ID), err)
	}
	return nil
}

func wrong(format string, args ...any) error { return fmt.Errorf(format, args...) }

// evolve takes in one record, or says why it could not follow.
func (m *model) evolve(f event.Fact) error {
	switch p := f.Payload.(type) {
	case authz.MemberAdded:
		return m.join(f, p)
	case authz.MemberRemoved:
		return m.leave(f, p)
	case grant.RolesGranted:
		return m.give(f, p)
	case grant.RolesWithdrawn:
		return m.take(f, p)
	case grant.Deactivated:
		return m.use(p.User, p.Project, false)
	case grant.Reactivated:
		return m.use(p.User, p.Project, true)
	}
	for _, follow := range []func(event.Fact) (error, bool){m.evolveCustoms, m.evolvePlace, m.evolveSession, m.evolveAuthorization, m.evolveKeys, m.evolveLockout} {
		if err, ok := follow(f); ok {
			return err
		}
	}
	return m.evolveUser(f)
}

// offer adds a role to a project, or removes it from everybody.
func (m *model) offer(f event.Fact, proj event.ID, key string, adds bool) error {
	line := line(m.offered, proj)
	if !m.projects[proj].there(f.Position) {
		return wrong("there is no such project")
	}
	if slices.Contains(line.now(), key) == adds {
		return wrong("the project's roles are %v", line.now())
	}
	if adds {
		line.set(f.Position, plus(line.now(), key))
		return nil
	}
	line.set(f.Position, minus(line.now(), key))
	for k, held := range m.held {
		if k[1] == proj && slices.Contains(held.now(), key) {
			held.set(f.Position, minus(held.now(), key))
		}
	}
	return nil
}

func plus(list []string, more ...string) []string {
	out := slices.Concat(list, more)
	slices.Sort(out)
	return slices.Compact(out)
}

func minus(list []string, less ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(less, s) })
}

func (m *model) join(f event.Fact, p authz.MemberAdded) error {
	list := line(m.members, p.User)
	same := func(x membership) bool { return x.org == p.Organization && string(x.role) == p.Role }
	switch u := m.people[p.User]; {
	case u == nil || u.status.now() == user.IsErased:
		return wrong("there is no such user")
	case slices.ContainsFunc(list.now(), same):
		return wrong("the user has the role already")
	}
	list.set(f.Position, append(slices.Clone(list.now()), membership{p.Member, p.Organization, authz.Role(p.Role)}))
	return nil
}

func (m *model) leave(f event.Fact, p authz.MemberRemoved) error {
	list := line(m.members, p.User)
	left := slices.DeleteFunc(slices.Clone(list.now()), func(x membership) bool { return x.id == p.Member })
	if len(left) == len(list.now()) {
		return wrong("there is no such membership")
	}
	list.set(f.Position, left)
	if m.owners() == 0 {
		return wrong("the instance has no owner left")
	}
	return nil
}

// owners counts the memberships that own the instance.
func (m *model) owners() (n int) {
	for _, list := range m.members {
		for _, x := range list.now() {
			if x.org.IsZero() && x.role == authz.Owner {
				n++
			}
		}
	}
	return n
}

func (m *model) give(f event.Fact, p grant.RolesGranted) error {
	held := line(m.held, [2]event.ID{p.User, p.Project})
	switch u := m.people[p.User]; {
	case u == nil || u.status.now() == user.IsErased:
		return wrong("there is no such user")
	case !m.projects[p.Project].there(f.Position) || m.projects[p.Project].in != p.Organization:
		return wrong("there is no such project")
	case len(minus(p.Roles, m.offered[p.Project].now()...)) > 0:
		return wrong("the project has no such role among %v", m.offered[p.Project].now())
	case m.unused[[2]event.ID{p.User, p.Project}]:
		return wrong("the roles are deactivated")
	case len(minus(p.Roles, held.now()...)) < len(p.Roles):
		return wrong("the user has %v", held.now())
	}
	held.set(f.Position, plus(held.now(), p.Roles...))
	return nil
}

func (m *model) take(f event.Fact, p grant.RolesWithdrawn) error {
	held := line(m.held, [2]event.ID{p.User, p.Project})
	if len(p.Roles) == 0 || len(minus(p.Roles, held.now()...)) > 0 || !m.projects[p.Project].there(f.Position) {
		return wrong("the user has %v", held.now())
	}
	held.set(f.Position, minus(held.now(), p.Roles...))
	return nil
}

// use takes the roles of a user in a project into use, or out of it.
func (m *model) use(u, proj event.ID, on bool) error {
	k := [2]event.ID{u, proj}
	if len(m.held[k].now()) == 0 {
		return wrong("the user has no roles there")
	}
	if m.unused[k] != on {
		return wrong("that they are deactivated is %v already", m.unused[k])
	}
	m.unused[k] = !on
	return nil
}

// counts are the roles of a user in a project that count.
func (m *model) counts(u, proj event.ID) []string {
	k := [2]event.ID{u, proj}
	if m.unused[k] || m.projects[proj].gone.now() {
		return nil
	}
	return m.held[k].now()
}
