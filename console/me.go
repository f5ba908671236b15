package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// me is the signed-in person with what they administer. What it says only
// decides what is offered; the API decides what is done.
type me struct {
	*munimentv1.GetMeResponse
	past bool // the page shows the past, where nothing can be changed
}

// has reports whether the person holds one of the roles in the instance or, if
// org is not empty, in that organization; with any, in whatever scope.
func (m *me) has(org string, any bool, roles ...munimentv1.MemberRole) bool {
	for _, s := range m.GetMemberships() {
		if !any && !s.GetScope().GetInstance() && (org == "" || s.GetScope().GetOrganizationId() != org) {
			continue
		}
		for _, r := range roles {
			if s.GetRole() == r {
				return true
			}
		}
	}
	return false
}

const (
	owner   = munimentv1.MemberRole_MEMBER_ROLE_OWNER
	admin   = munimentv1.MemberRole_MEMBER_ROLE_ADMIN
	viewer  = munimentv1.MemberRole_MEMBER_ROLE_VIEWER
	auditor = munimentv1.MemberRole_MEMBER_ROLE_AUDITOR
)

// reads: may look at what is there, anywhere.
func (m *me) reads() bool { return m.has("", true, owner, admin, viewer, auditor) }

// audits: may look at events, anywhere.
func (m *me) audits() bool { return m.has("", true, owner, admin, auditor) }

// consumes: is permitted to read some events.
func (m *me) consumes() bool {
	for _, p := range m.GetPermissions() {
		if p.GetRight() == munimentv1.EventRight_EVENT_RIGHT_READ {
			return true
		}
	}
	return false
}

// auditsAll: may see all events of the instance, and so its statistics.
func (m *me) auditsAll() bool { return m.has("", false, owner, admin, auditor) }

// Writes: may change things in an organization ("" means the instance).
func (m *me) Writes(org string) bool { return !m.past && m.has(org, false, owner, admin) }

// WritesAny: may change things somewhere.
func (m *me) WritesAny() bool { return !m.past && m.has("", true, owner, admin) }

// Owns: may also erase people and appoint owners.
func (m *me) Owns(org string) bool { return !m.past && m.has(org, false, owner) }

// OwnsAny: may say somewhere who may do what.
func (m *me) OwnsAny() bool { return !m.past && m.has("", true, owner) }

// menu is the navigation for this person.
func (v *visit) menu() *page.Menu {
	m := &page.Menu{Name: userName(v.me.GetUser()), Detail: v.me.GetUser().GetEmail().GetValue()}
	if v.me.reads() {
		m.Groups = append(m.Groups, page.MenuGroup{Heading: "Directory", Items: []page.MenuItem{
			{Key: "people", Label: "People", Href: "/console/people", Icon: "people"},
			{Key: "organizations", Label: "Organizations", Href: "/console/organizations", Icon: "org"},
			{Key: "projects", Label: "Projects", Href: "/console/projects", Icon: "project"},
			{Key: "members", Label: "Members", Href: "/console/members", Icon: "role"},
			{Key: "permissions", Label: "Permissions", Href: "/console/permissions", Icon: "check"},
			{Key: "policies", Label: "Policies", Href: "/console/policies", Icon: "key"},
		}}, page.MenuGroup{Heading: "Applications' own", Items: []page.MenuItem{
			{Key: entitiesNav, Label: "Entities", Href: "/console/entities", Icon: "app"},
			{Key: reviewNav, Label: "Review", Href: reviewAt, Icon: "search"},
			{Key: definitionsNav, Label: "Definitions", Href: "/console/definitions", Icon: "project"},
		}})
		ledger := page.MenuGroup{Heading: "Ledger"}
		if v.me.audits() {
			ledger.Items = append(ledger.Items, page.MenuItem{Key: "events", Label: "Events", Href: "/console/events", Icon: "events"})
		}
		ledger.Items = append(ledger.Items, page.MenuItem{Key: hooksNav, Label: "Subscriptions", Href: "/console/subscriptions", Icon: "link"}, page.MenuItem{Key: adaptersNav, Label: "Adapters", Href: "/console/adapters", Icon: "external"})
		ledger.Items = append(ledger.Items, page.MenuItem{Key: "instance", Label: "Instance", Href: "/console/instance", Icon: "seal"})
		m.Groups = append(m.Groups, ledger)
		if v.c.Hosting && v.me.has("", false, owner) {
			m.Groups = append(m.Groups, page.MenuGroup{Heading: "Server", Items: []page.MenuItem{{Key: hostedNav, Label: "Instances", Href: "/console/instances", Icon: "org"}}})
		}
	}
	if !v.me.reads() && v.me.consumes() {
		m.Groups = append(m.Groups, page.MenuGroup{Heading: "Ledger", Items: []page.MenuItem{
			{Key: "events", Label: "Events", Href: "/console/events", Icon: "events"},
			{Key: entitiesNav, Label: "Entities", Href: "/console/entities", Icon: "app"},
			{Key: reviewNav, Label: "Review", Href: reviewAt, Icon: "search"},
		}})
	}
	m.Groups = append(m.Groups, page.MenuGroup{Heading: "You", Items: []page.MenuItem{
		{Key: "account", Label: "My account", Href: "/account", Icon: "person"},
		{Key: "activity", Label: "My events", Href: "/account/events", Icon: "clock"},
	}})
	return m
}

// nothing answers all other addresses.
func (v *visit) nothing() error {
	return fault.New(fault.NotFound, "there is no such page")
}
