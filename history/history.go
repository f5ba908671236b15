// Package history is the face of the past in the API: what differs between two
// points of the log, and who held which role when. It reads what the views keep
// of every row, knows the tables by what a caller can ask for, and decides
// nothing.
//
// Only tables that stand here are shown; a new slice's table is added to
// sources when it holds nothing that only the server may know.
package history

import (
	"context"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/external"
	"muniment.dev/grant"
	"muniment.dev/hook"
	"muniment.dev/hosting"
	"muniment.dev/member"
	"muniment.dev/org"
	"muniment.dev/policy"
	"muniment.dev/project"
	"muniment.dev/session"
	"muniment.dev/user"
	"muniment.dev/view"
)

// Events shows events as far as a caller may see them; *auditapi.Service.
type Events interface {
	// Shown answers the events at positions that the caller may see, by
	// position, and records that they were read, for what.
	Shown(ctx context.Context, what string, positions []event.Position) (map[event.Position]*munimentv1.Event, error)
}

// Service implements munimentv1connect.HistoryServiceHandler.
type Service struct {
	core   adapter.Core
	events Events
}

// New makes the service.
func New(c adapter.Core, e Events) *Service { return &Service{c, e} }

// source is a list that can be asked for: a table, and the columns by which it
// is decided who may see a row. Of a row without an organization of its own, its
// project's counts, or without a project its user's.
type source struct {
	list, table        string
	organization, user string
	id, project        string // columns that filters and objects select by
	deactivated, gone  string // columns by which a holding is deactivated, or none
	whole              bool   // rows are the affair of the whole instance
}

var sources = []source{
	{list: "users", table: user.Table, organization: "organization", user: "id", id: "id"},
	{list: "organizations", table: org.Table, organization: "id", id: "id"},
	{list: "projects", table: project.Table, organization: "organization", project: "id", id: "id"},
	{list: "roles", table: project.Roles, project: "project"},
	{list: "applications", table: app.Table, organization: "organization", project: "project", id: "id"},
	{list: "grants", table: grant.Roles, user: "user", project: "project", deactivated: "deactivated", gone: "project_removed"},
	{list: "members", table: member.Table, organization: "organization", user: "user", id: "id"},
	{list: "permissions", table: member.PermissionTable, organization: "organization", user: "user", id: "id"},
	{list: "sessions", table: session.Table, user: "user", id: "id"},
	{list: "user_applications", table: session.UserApplications, user: "user"},
	{list: "hosted_instances", table: hosting.Table, id: "id", whole: true},
	{list: "hosted_instance_hosts", table: hosting.Hosts, id: "instance", whole: true},
	{list: "subscriptions", table: hook.Table, organization: "organization", id: "id"},
	{list: "adapters", table: external.Table, organization: "organization", id: "id"},
	{list: "subscription_secrets", table: hook.Secrets, organization: "organization", id: "subscription"},
	{list: "password_policies", table: policy.OfPasswords.Table(), organization: "organization"},
	{list: "lockout_policies", table: policy.OfLockout.Table(), organization: "organization"},
	{list: "session_policies", table: policy.OfSessions.Table(), organization: "organization"},
	{list: "token_policies", table: policy.OfTokens.Table(), organization: "organization"},
}

// part is a list that belongs to an object: the rows whose column names it.
type part struct{ list, column string }

// objects are the kinds of thing that can be compared, the thing itself first.
var objects = map[string][]part{
	"user":         {{"users", "id"}, {"grants", "user"}, {"members", "user"}, {"permissions", "user"}, {"sessions", "user"}, {"user_applications", "user"}},
	"session":      {{"sessions", "id"}},
	"subscription": {{"subscriptions", "id"}, {"subscription_secrets", "subscription"}},
	"instance":     {{"hosted_instances", "id"}, {"hosted_instance_hosts", "instance"}},
	"organization": {{"organizations", "id"}, {"members", "organization"}, {"permissions", "organization"}, {"password_policies", "organization"}, {"lockout_policies", "organization"},
		{"session_policies", "organization"}, {"token_policies", "organization"}},
	"project":     {{"projects", "id"}, {"roles", "project"}, {"grants", "project"}},
	"application": {{"applications", "id"}},
}

func sourceOf(list string) (source, bool) {
	for _, s := range sources {
		if s.list == list {
			return s, true
		}
	}
	return source{}, false
}

// looker looks on behalf of a caller, and remembers whose projects and users
// are.
type looker struct {
	*adapter.Reading
	core  adapter.Core
	owner map[event.ID]event.ID // organization of a project or a user
}

func (s *Service) look(ctx context.Context) (*looker, error) {
	r, err := s.core.Begin(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &looker{r, s.core, map[event.ID]event.ID{}}, nil
}

// visible are the conditions for rows that the caller may see, where the table
// itself tells.
func (l *looker) visible(s source) []view.Cond {
	switch {
	case s.whole && !l.Sees(event.ID{}, event.ID{}):
		return []view.Cond{view.In[event.ID](s.id)} // none
	case s.organization == "":
		return nil
	}
	return l.Visible(s.organization, s.user)
}

// sees reports whether the caller may see a row of a table that does not itself
// tell whose it is.
func (l *looker) sees(ctx context.Context, s source, row view.Row) (bool, error) {
	if s.organization != "" || s.whole {
		return true, nil // by a condition already
	}
	var of, person event.ID
	if s.user != "" {
		person = row.ID(s.user)
	}
	if l.Sees(event.ID{}, person) {
		return true, nil
	}
	table, owner := project.Table, s.project
	if owner == "" {
		table, owner = user.Table, s.user
	}
	of, err := l.ownerOf(ctx, table, row.ID(owner))
	return err == nil && !of.IsZero() && l.Sees(of, person), err
}

// ownerOf is the organization of a project, also of one that has ended; zero if
// there never was one.
func (l *looker) ownerOf(ctx context.Context, table string, id event.ID) (event.ID, error) {
	if o, ok := l.owner[id]; ok {
		return o, nil
	}
	ranges, err := l.core.Views.History(ctx, table, view.Values{"id": id}, view.Read{})
	if err != nil || len(ranges) == 0 {
		return event.ID{}, err
	}
	l.owner[id] = ranges[len(ranges)-1].ID("organization")
	return l.owner[id], nil
}

// value is a column as the API shows it; false if it is not shown.
func value(c view.Column, state event.State, v any) (*munimentv1.FieldValue, bool) {
	if state == event.Erased {
		return &munimentv1.FieldValue{Erased: true}, true
	}
	if state == event.Absent {
		return nil, true
	}
	switch v := v.(type) {
	case string:
		return &munimentv1.FieldValue{Value: structpb.NewStringValue(v)}, true
	case bool:
		return &munimentv1.FieldValue{Value: structpb.NewBoolValue(v)}, true
	case int64:
		return &munimentv1.FieldValue{Value: structpb.NewNumberValue(float64(v))}, true
	case event.Instant:
		return &munimentv1.FieldValue{Value: structpb.NewStringValue(time.UnixMicro(int64(v)).UTC().Format(time.RFC3339Nano))}, true
	case event.ID:
		return &munimentv1.FieldValue{Value: structpb.NewStringValue(hex.EncodeToString(v[:]))}, true
	case []string:
		return list(v), true
	case []event.ID:
		texts := make([]string, len(v))
		for i, id := range v {
			texts[i] = id.String()
		}
		return list(texts), true
	}
	return nil, false // bytes are the server's own business
}

func list(texts []string) *munimentv1.FieldValue {
	l := &structpb.ListValue{}
	for _, t := range texts {
		l.Values = append(l.Values, structpb.NewStringValue(t))
	}
	return &munimentv1.FieldValue{Value: structpb.NewListValue(l)}
}

var errNotFound = fault.New(fault.NotFound, "there is nothing with this id that you may see, or there was not")
